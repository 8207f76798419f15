// Package doctor finds out whether the programs of a user put their tickets into
// kcmd, and if not, why. It reads files, asks libkrb5 through klist, and looks who
// serves the KCM socket. It changes nothing.
//
// It imports kcmserver/kcm and its client, with which it asks the server.
//
// Files, in the order in which to read them:
//
//   - doctor.go: findings, and what they are made from
//   - profile.go: krb5.conf, with the files that it includes
//   - libkrb5.go: the cache that libkrb5 chooses
//   - server.go: the socket that libkrb5 uses, and who serves it
//   - units.go: KCM servers that start at boot
//   - logins.go: pam_krb5 and sshd, which choose a cache themselves
//   - samba.go: Samba, which has a Kerberos library of its own
//   - accounts.go: caches of users without an account
package doctor
