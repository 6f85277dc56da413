// Moves everything from standard input, a connection, to standard output, another one, by io.Copy
// and reports what that cost this process. It takes the place of the harness's own mover: it says
// "ready" on standard error, waits for the first byte, and writes its report there too.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type span struct {
	Secs  int64 `json:"secs"`
	Nanos int64 `json:"nanos"`
}

type outcome struct {
	Bytes    int64 `json:"bytes"`
	CPU      span  `json:"cpu"`
	Wall     span  `json:"wall"`
	GrownKiB int64 `json:"grown_kib"`
}

func main() {
	report, err := move()
	if err == nil {
		err = json.NewEncoder(os.Stderr).Encode(report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func move() (*outcome, error) {
	source, err := net.FileConn(os.Stdin)
	if err != nil {
		return nil, err
	}
	sink, err := net.FileConn(os.Stdout)
	if err != nil {
		return nil, err
	}
	// Where the peak cannot be forgotten that of the start counts too.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	before := resident("VmRSS:")
	fmt.Fprintln(os.Stderr, "ready")
	if err := waitForData(source); err != nil {
		return nil, err
	}

	used, err := cpuTime()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	n, err := io.Copy(sink, source)
	wall := time.Since(began)
	if err != nil {
		return nil, err
	}
	now, err := cpuTime()
	if err != nil {
		return nil, err
	}
	grown := resident("VmHWM:") - before
	if grown < 0 {
		grown = 0
	}
	return &outcome{n, parts(now - used), parts(wall), grown}, nil
}

// waitForData returns once a byte or the end can be read, and takes neither.
func waitForData(conn net.Conn) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		flags := syscall.MSG_PEEK | syscall.MSG_DONTWAIT
		_, _, failed = syscall.Recvfrom(int(fd), one[:], flags)
		return failed != syscall.EAGAIN
	})
	if err != nil {
		return err
	}
	return failed
}

// cpuTime is what this process has used so far, in user space and in the kernel.
func cpuTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

func parts(d time.Duration) span {
	return span{int64(d / time.Second), int64(d % time.Second)}
}

// resident is a field of this process's status in KiB, 0 where it is not there.
func resident(field string) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(status), "\n") {
		if rest := strings.TrimPrefix(line, field); rest != line {
			if words := strings.Fields(rest); len(words) > 0 {
				n, _ := strconv.ParseInt(words[0], 10, 64)
				return n
			}
		}
	}
	return 0
}
