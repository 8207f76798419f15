// Package selinux says which caches a process may use, by its SELinux label and
// the label of whoever made the cache.
//
// It is a leaf: it imports nothing of kcmd's. The kernel is asked through
// github.com/opencontainers/selinux, which finds selinuxfs and reads peer
// labels; what it lacks, an access check, is in class.go.
//
// A label is user:role:type:range, for example
// "system_u:system_r:container_t:s0:c1,c2" or
// "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023". A range is a level,
// or a low and a high level joined by "-". A level is a sensitivity and a set of
// categories, "s0:c1,c5.c7".
package selinux
