// Package selinux decides which caches a process may use, from its SELinux label
// and the label of the process that created the cache.
//
// It imports no package of kcmd. github.com/opencontainers/selinux finds selinuxfs
// and reads the labels of peers; class.go adds the access check, which that module
// does not have.
//
// Files, in the order in which to read them: policy.go, level.go (decisions by
// levels), class.go (decisions of the kernel).
//
// A label is user:role:type:range, for example
// "system_u:system_r:container_t:s0:c1,c2" or
// "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023". A range is a level,
// or a low and a high level joined by "-". A level is a sensitivity and a set of
// categories, "s0:c1,c5.c7".
package selinux
