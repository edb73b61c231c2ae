package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What `synod bench --output json` prints, as far as it is compared.
type result struct {
	Seconds                 float64      `json:"seconds"`
	Operations              []operations `json:"operations"`
	Events                  int64        `json:"events"`
	Servers                 []cost       `json:"servers"`
	ServerCPUUsPerOperation *float64     `json:"serverCpuUsPerOperation"`
}

type operations struct {
	Operation string    `json:"operation"`
	Succeeded int       `json:"succeeded"`
	PerSecond float64   `json:"perSecond"`
	LatencyUs latency   `json:"latencyUs"`
	Failed    int64     `json:"failed"`
	Errors    []failure `json:"errors"`
}

type failure struct {
	Code  string `json:"code"`
	Count int64  `json:"count"`
	First string `json:"first"`
}

type latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

type cost struct {
	PID           int     `json:"pid"`
	CPUSeconds    float64 `json:"cpuSeconds"`
	ResidentBytes int64   `json:"residentBytes"`
}

func report(workers []*worker, took time.Duration, before, after []cost, events int64) error {
	var samples []time.Duration
	for _, w := range workers {
		samples = append(samples, w.samples...)
	}
	slices.Sort(samples)
	done := operations{
		Operation: *operation,
		Succeeded: len(samples),
		PerSecond: float64(len(samples)) / took.Seconds(),
		LatencyUs: summary(samples),
		Failed:    failed.Load(),
		Errors:    []failure{},
	}
	if first := firstFailure.Load(); first != nil {
		done.Errors = append(done.Errors, failure{"ERROR", failed.Load(), *first})
	}
	servers, used := []cost{}, 0.0
	for i, now := range after {
		now.CPUSeconds -= before[i].CPUSeconds
		used += now.CPUSeconds
		servers = append(servers, now)
	}
	out := result{Seconds: took.Seconds(), Operations: []operations{done}, Events: events, Servers: servers}
	if len(samples) > 0 && len(servers) > 0 {
		each := used * 1e6 / float64(len(samples))
		out.ServerCPUUsPerOperation = &each
	}
	return printJSON(out)
}

func summary(sorted []time.Duration) latency {
	if len(sorted) == 0 {
		return latency{}
	}
	at := func(quantile float64) float64 {
		return micros(sorted[int(quantile*float64(len(sorted)-1))])
	}
	var sum time.Duration
	for _, sample := range sorted {
		sum += sample
	}
	return latency{
		Mean: micros(sum) / float64(len(sorted)),
		P50:  at(0.5),
		P90:  at(0.9),
		P99:  at(0.99),
		P999: at(0.999),
		Max:  micros(sorted[len(sorted)-1]),
	}
}

func micros(span time.Duration) float64 {
	return float64(span.Nanoseconds()) / 1000
}

// What the servers have used so far, as the kernel tells; nothing of those that it does not know.
func usages() []cost {
	var found []cost
	for _, text := range strings.Split(*pids, ",") {
		pid, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The name of the program is in parentheses and may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		pages, _ := strconv.ParseInt(fields[21], 10, 64)
		// The kernel counts in hundredths of a second towards programs, on every platform that Go knows.
		found = append(found, cost{pid, (user + system) / 100, pages * int64(os.Getpagesize())})
	}
	return found
}
