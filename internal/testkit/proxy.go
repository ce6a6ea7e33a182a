package testkit

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Installed returns the path of a program with the same name as its Debian
// package. It also looks in /usr/sbin.
func Installed(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	Require(t, name+" (Debian package "+name+")", err == nil)
	return path
}

// StartProxy starts a proxy, which inherits the listener of address as file 3.
// Connections wait there until the proxy runs. The process ends with the test,
// if configure uses the context of the test.
func StartProxy(t testing.TB, configure func(address string) *exec.Cmd) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	address = listener.Addr().String()
	cmd := configure(address)
	var output bytes.Buffer
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{file}, &output, &output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // which reaches nginx's workers, too
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Wait() // the test's context has ended
		if t.Failed() {
			t.Logf("%s: %s", cmd.Path, output.String())
		}
	})
	return address
}

// StartNginx starts nginx with the server blocks that servers returns for its
// address. Its files are in dir.
func StartNginx(t testing.TB, dir string, servers func(address string) string) (address string) {
	path := Installed(t, "nginx")
	return StartProxy(t, func(address string) *exec.Cmd {
		temporary := ""
		for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			temporary += fmt.Sprintf("%s_temp_path %s;\n", name, filepath.Join(dir, name))
		}
		config := "daemon off; error_log stderr; pid " + filepath.Join(dir, "nginx.pid") +
			";\nevents {}\nhttp {\naccess_log off;\n" + temporary + servers(address) + "}\n"
		file := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), path, "-p", dir, "-e", "stderr", "-c", file)
		cmd.Env = append(os.Environ(), "NGINX=3;") // the listener that it inherits
		return cmd
	})
}
