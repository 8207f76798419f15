package lab

import (
	"net"
	"os/exec"
	"time"
)

// A Server is a program other than kcmd that listens on a UNIX socket.
type Server struct {
	// Socket is the path of its socket.
	Socket string

	*process
}

// Serve starts a server, with its output in the file log, and waits until it
// accepts connections at socket.
func (l *Lab) Serve(cmd *exec.Cmd, log, socket string) (*Server, error) {
	proc, err := l.background(cmd, log)
	if err != nil {
		return nil, err
	}
	if err := proc.await(func() bool { return listens(socket) }); err != nil {
		proc.kill()
		return nil, err
	}
	return &Server{Socket: socket, process: proc}, nil
}

// listens reports whether a server accepts connections at a socket.
func listens(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Stop ends the server at once.
func (s *Server) Stop() { s.kill() }
