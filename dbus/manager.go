package dbus

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"kcmd.org/kcmd/dbus/view"
	"kcmd.org/kcmd/introspection"
)

var managerInterface = &iface{Interface: introspection.Manager, properties: managerProperties, methods: methods{
	"GetCollection":    {visible, answers(getCollection)},
	"ListCollections":  {visible, answers(listCollections)},
	"FindCaches":       {visible, answers(findCaches)},
	"GetCache":         {visible, answers(getCache)},
	"Subscribe":        {visible, acting(subscribe)},
	"SubscribeProcess": {visible, acting(subscribeProcess)},
	"Unsubscribe":      {visible, acting(unsubscribe)},
	"SetScope":         {visible, acting(setScope)}, // "all" needs to be authorized
	"GetStatistics":    {inspect, acting(getStatistics)},
}}

// apiVersion counts up with each addition to the interfaces.
const apiVersion = 2

// managerProperties returns the properties of the interface Manager.
func managerProperties(r *reading) map[string]any {
	mode := "system"
	if r.bus.Session {
		mode = "session"
	}
	return map[string]any{
		"Version":       view.Text(r.bus.Version),
		"ApiVersion":    uint32(apiVersion),
		"Mode":          mode,
		"Features":      r.bus.features(),
		"SocketPath":    view.Text(r.bus.SocketPath),
		"OwnCollection": view.CollectionPath(r.scope.UID),
		"Subscribed":    r.bus.clients.subscribed(r.client),
		"ExpiryWarning": uint32(r.bus.terms.Load().ExpiryWarning.Seconds()),
	}
}

// uids returns the uids of the collections that the caller sees. It looks only at
// those of which more is known than that they hold a cache: a machine may have
// thousands.
func (r *reading) uids() []uint32 {
	uids := r.candidates()
	for uid, stored := range uids {
		if stored {
			continue
		}
		if _, ok := r.sees(uid); !ok {
			delete(uids, uid)
		}
	}
	return slices.Sorted(maps.Keys(uids))
}

// candidates returns the uids whose collections may exist for the caller. It is
// true for those that certainly hold a cache.
func (r *reading) candidates() map[uint32]bool {
	uids := map[uint32]bool{r.scope.UID: false}
	if !r.scope.All {
		return uids
	}
	if !r.listed {
		r.needsList = true
		return uids
	}
	for _, o := range r.stored {
		uids[o.UID] = true
	}
	for _, o := range r.unsaved {
		if r.scope.Covers(o) {
			uids[o.UID] = false
		}
	}
	return uids
}

// maxLoaded bounds the collections that one call may have in memory. With ten
// tickets each, so many take some 80 MB.
const maxLoaded = 2048

// collections returns the collections that the caller sees, by uid.
func (r *reading) collections() ([]view.Collection, error) {
	uids := slices.Sorted(maps.Keys(r.candidates()))
	if len(uids) > maxLoaded {
		return nil, &fault{errLimitsExceeded, fmt.Sprintf(
			"%d users have caches, at most %d can be looked into at once; ListCollections lists them", len(uids), maxLoaded)}
	}
	var list []view.Collection
	for _, uid := range uids {
		if c, ok := r.sees(uid); ok {
			list = append(list, c)
		}
	}
	return list, nil
}

// ownUID means the caller's own uid in a call.
const ownUID = ^uint32(0)

func getCollection(r *reading, in struct{ UID uint32 }) ([]any, error) {
	if in.UID == ownUID {
		in.UID = r.scope.UID
	}
	c, ok := r.sees(in.UID)
	if !ok {
		return nil, unknownObject
	}
	return []any{c.Path()}, nil
}

// A listedCollection is an element of the result of ListCollections.
type listedCollection struct {
	UID  uint32
	Path view.Path
}

func listCollections(r *reading, _ none) ([]any, error) {
	list := []listedCollection{}
	for _, uid := range r.uids() {
		list = append(list, listedCollection{uid, view.CollectionPath(uid)})
	}
	return []any{list}, nil
}

func findCaches(r *reading, in struct{ Client string }) ([]any, error) {
	collections, err := r.collections()
	if err != nil {
		return nil, err
	}
	var found []view.Cache
	for _, c := range collections {
		for _, cache := range c.Caches() {
			if cache.HasClient(in.Client) {
				found = append(found, cache)
			}
		}
	}
	slices.SortStableFunc(found, view.ByExpiry)
	paths := []view.Path{}
	for _, cache := range found {
		paths = append(paths, cache.Path())
	}
	return []any{paths}, nil
}

func getCache(r *reading, in struct{ Name string }) ([]any, error) {
	residual := strings.TrimPrefix(in.Name, "KCM:")
	uid := r.scope.UID // the name begins with the owner, or else it is the caller's
	first, _, _ := strings.Cut(residual, ":")
	if of, ok := view.ParseUID(first); ok {
		uid = of
	}
	if c, ok := r.sees(uid); ok {
		if residual == "" {
			residual = c.DefaultName()
		}
		if cache, err := c.Cache(residual); err == nil {
			return []any{cache.Path()}, nil
		}
	}
	id, err := uuid.Parse(residual)
	if err != nil {
		return nil, unknownObject
	}
	collections, err := r.collections() // it may be anybody's
	if err != nil {
		return nil, err
	}
	for _, c := range collections {
		if cache, err := c.CacheByUUID(id); err == nil {
			return []any{cache.Path()}, nil
		}
	}
	return nil, unknownObject
}
