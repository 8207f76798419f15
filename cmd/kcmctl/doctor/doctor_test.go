package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const kcmdSocket = "/run/.heim_org.h5l.kcm-socket"

// well is a machine on which all is as it should be.
func well() (System, map[string]string) {
	s := System{
		Getenv:   func(string) string { return "" },
		Klist:    func(context.Context) string { return "Ticket cache: KCM:1000\n" },
		Listener: func(context.Context, string) (Listener, error) { return Listener{42, "kcmd"}, nil },
		Socket:   kcmdSocket, Features: []string{"renew"},
	}
	return s, map[string]string{
		"/etc/krb5.conf":                                          "[libdefaults]\n  default_ccache_name = KCM:\n",
		"/usr/lib/systemd/system/kcmd.socket":                     "",
		"/etc/systemd/system/sockets.target.wants/kcmd.socket":    "",
		"/etc/ssh/sshd_config":                                    "#GSSAPIAuthentication yes\n",
		"/etc/pam.d/common-auth":                                  "# auth pam_krb5.so\nauth required pam_unix.so\n",
		"/etc/systemd/system/multi-user.target.wants/ssh.service": "",
		"/usr/lib/x86_64-linux-gnu/samba/libnothing-samba4.so.0":  "",
	}
}

// lines joins what a machine's findings say that are not OK: "level check: file: lines".
func lines(findings []Finding) string {
	var text []string
	for _, f := range findings {
		if f.Level != OK {
			text = append(text, f.Level+" "+f.Check+" "+f.File+": "+strings.Join(f.Lines, "|"))
		}
	}
	return strings.Join(text, "\n")
}

func TestExamine(t *testing.T) {
	const writeName = "[libdefaults]|    default_ccache_name = KCM:"
	klist := func(text string) func(*System) {
		return func(s *System) { s.Klist = func(context.Context) string { return text } }
	}
	for name, test := range map[string]struct {
		change func(s *System)
		files  map[string]string
		want   string
	}{
		"well": {},
		"another name in an included file": {
			change: klist("klist: No credentials cache found (filename: /tmp/krb5cc_0)"),
			files: map[string]string{
				"/etc/krb5.conf":                  "includedir /etc/krb5.conf.d\n[libdefaults]\n default_ccache_name = KCM:\n",
				"/etc/krb5.conf.d/site":           "[libdefaults]\n default_ccache_name = FILE:/tmp/krb5cc_%{uid}\n",
				"/etc/krb5.conf.d/kcmd.conf.orig": "",
			},
			want: "error default_ccache_name /etc/krb5.conf.d/site: " + writeName + "\nnote includedir : ",
		},
		"a keyring": {
			change: klist("klist: Credentials cache keyring 'persistent:1000:1000' not found"),
			files:  map[string]string{"/etc/krb5.conf": ""},
			want:   "error default_ccache_name /etc/krb5.conf: " + writeName,
		},
		"no tickets": {change: klist("klist: Credentials cache 'KCM:1000' not found")},
		"no klist, no krb5.conf": {
			change: klist(""),
			files:  map[string]string{"/etc/krb5.conf": "-"},
			want:   "error default_ccache_name /etc/krb5.conf: " + writeName,
		},
		"no klist": {change: klist("")},
		"a variable": {
			change: func(s *System) {
				s.Getenv = func(name string) string { return map[string]string{"KRB5CCNAME": "FILE:/tmp/x"}[name] }
			},
			want: "warning KRB5CCNAME : unset KRB5CCNAME",
		},
		"files that krb5.conf does not include": {
			files: map[string]string{"/etc/krb5.conf.d/kcmd.conf": "[libdefaults]\n"},
			want:  "warning includedir /etc/krb5.conf: includedir /etc/krb5.conf.d",
		},
		"another server": {
			change: func(s *System) {
				s.Socket = "/run/kcmd/kcm.sock"
				s.Listener = func(context.Context, string) (Listener, error) { return Listener{7, "sssd_kcm"}, nil }
			},
			files: map[string]string{"/etc/systemd/system/sockets.target.wants/sssd-kcm.socket": "", "/etc/rc3.d/S01heimdal-kcm": ""},
			want: "error kcm_socket /etc/krb5.conf: [libdefaults]|    kcm_socket = /run/kcmd/kcm.sock\n" +
				"warning rivals : systemctl disable --now sssd-kcm.socket\nwarning rivals : systemctl disable --now heimdal-kcm.service",
		},
		"another socket": {
			change: func(s *System) {
				s.Listener = func(context.Context, string) (Listener, error) { return Listener{}, errors.New("refused") }
			},
			files: map[string]string{"/etc/krb5.conf": "[libdefaults]\n default_ccache_name = KCM:\n kcm_socket = /run/none\n"},
			want:  "error kcm_socket /etc/krb5.conf: [libdefaults]|    kcm_socket = " + kcmdSocket,
		},
		"no kcmd": {
			change: func(s *System) {
				s.Socket, s.Features = "", nil
				s.Listener = func(context.Context, string) (Listener, error) { return Listener{}, errors.New("refused") }
			},
			files: map[string]string{"/etc/systemd/system/sockets.target.wants/kcmd.socket": "-"},
			want: "error bus : systemctl enable --now kcmd.socket|systemctl start kcmd.service\n" +
				"error kcm_socket : systemctl enable --now kcmd.socket\nwarning boot : systemctl enable kcmd.socket",
		},
		"logins": {
			files: map[string]string{
				"/etc/pam.d/common-auth":             "auth sufficient pam_krb5.so minimum_uid=1000\n",
				"/etc/ssh/sshd_config.d/gssapi.conf": "GSSAPIAuthentication yes\n",
			},
			want: "warning pam_krb5 /etc/krb5.conf: [appdefaults]|    pam = {|        ccache = KCM:%u|        retain_after_close = true|    }\nnote sshd : ",
		},
		"logins that destroy a shared cache": {
			files: map[string]string{
				"/etc/pam.d/common-auth": "auth sufficient pam_krb5.so minimum_uid=1000\n",
				"/etc/krb5.conf":         "[libdefaults]\ndefault_ccache_name = KCM:\n[appdefaults]\n pam = {\n  ccache = KCM:%u\n }\n",
			},
			want: "warning pam_krb5 /etc/krb5.conf: [appdefaults]|    pam = {|        retain_after_close = true|    }",
		},
		"logins with a cache for each": {
			files: map[string]string{"/etc/pam.d/common-auth": "auth sufficient pam_krb5.so ccache=KCM:%u:XXXXXX\n"},
		},
		"logins that leave their tickets": {
			files: map[string]string{"/etc/pam.d/common-auth": "auth sufficient pam_krb5.so retain_after_close ccache=KCM:%u\n"},
		},
		"delegated tickets that kcmctl takes": {
			files: map[string]string{
				"/etc/ssh/sshd_config.d/gssapi.conf": "GSSAPIAuthentication yes\n",
				"/etc/pam.d/sshd":                    "session optional pam_exec.so quiet /usr/bin/kcmctl adopt\n",
			},
		},
		"pam_krb5 with a cache": {
			files: map[string]string{
				"/etc/pam.d/common-auth": "auth sufficient pam_krb5.so minimum_uid=1000\n",
				"/etc/krb5.conf":         "[libdefaults]\ndefault_ccache_name = KCM:\n[appdefaults]\n pam = {\n  debug = false\n  ccache = KCM:%u\n  retain_after_close = yes\n }\n",
			},
		},
		"Samba": {
			files: map[string]string{"/usr/lib/x86_64-linux-gnu/samba/libkrb5-samba4.so.0": ""},
			want:  "note samba : ",
		},
		"a user without an account, and no KDC": {
			change: func(s *System) { s.Strays, s.Features = map[uint32]int{4242: 3}, nil },
			want:   "note kdc : systemctl enable --now kcmd-kdc.socket\nwarning accounts : kcmctl destroy --all --uid 4242",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, files := well()
			s.Root = t.TempDir()
			for path, text := range test.files {
				files[path] = text
			}
			for path, text := range files {
				if text != "-" {
					writeFile(t, filepath.Join(s.Root, path), text)
				}
			}
			if test.change != nil {
				test.change(&s)
			}
			findings := Examine(t.Context(), &s)
			if got := lines(findings); got != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
			if Broken(findings) != strings.Contains(test.want, "error ") {
				t.Error("Broken disagrees")
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Files that include each other end.
func TestIncludeLoop(t *testing.T) {
	s, _ := well()
	s.Root = t.TempDir()
	writeFile(t, filepath.Join(s.Root, "etc/krb5.conf"), "include /etc/krb5.conf\n}\n[libdefaults]\nkcm_socket = \"/run/x\"\n")
	if r := s.readProfile().get("libdefaults/kcm_socket"); r == nil || r.value != "/run/x" || r.place != "/etc/krb5.conf:4" {
		t.Errorf("got %+v", r)
	}
}
