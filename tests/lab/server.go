package lab

import (
	"fmt"
	"net"
	"os/exec"
	"time"
)

// A Server is a program other than kcmd that listens on a UNIX socket.
type Server struct {
	// Socket is the path of its socket.
	Socket string

	proc *process
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
	return &Server{Socket: socket, proc: proc}, nil
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

// PID returns the process id of the server.
func (s *Server) PID() int { return s.proc.cmd.Process.Pid }

// Stop ends the server at once.
func (s *Server) Stop() { s.proc.kill() }

// Ended returns an error once the server has ended, with the end of its log.
func (s *Server) Ended() error {
	if s.proc.running() {
		return nil
	}
	return fmt.Errorf("%s ended: %w%s", s.proc.cmd.Path, s.proc.ended(), s.proc.tail())
}
