// A load generator for etcd over its Go client, with the workloads and the output of `synod bench`.
//
// Closed loop: each client does one operation after another. Clients are spread over connections, as etcd's documents
// advise. Only what ends between the warm-up and the end of the run counts.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

const fillAhead = 256

var (
	endpoints    = flag.String("endpoints", "127.0.0.1:2379", "host:port of every member, separated by commas")
	operation    = flag.String("operation", "put", "put, get, get-sequential (serializable), lock")
	clients      = flag.Int("clients", 64, "operations that are under way at the same time")
	connections  = flag.Int("connections", 16, "connections over which clients are spread")
	names        = flag.Int("names", 0, "locks over which lock pairs are spread; 0: one for each client")
	keys         = flag.Int64("keys", 10000, "keys")
	keyBytes     = flag.Int("key-bytes", 64, "size of a key")
	valueBytes   = flag.Int("value-bytes", 256, "size of a value")
	fill         = flag.Bool("fill", false, "write every key first")
	watchers     = flag.Int("watchers", 0, "watchers meanwhile")
	watchPrefix  = flag.String("watch-prefix", "0", "what they watch")
	warmup       = flag.Duration("warmup", 2*time.Second, "how long to run before measuring")
	duration     = flag.Duration("duration", 10*time.Second, "how long to measure")
	pids         = flag.String("pids", "", "processes of the servers, separated by commas")
	measuring    atomic.Bool
	failed       atomic.Int64
	firstFailure atomic.Pointer[string]
	events       atomic.Int64
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	connected, err := connect()
	if err != nil {
		return err
	}
	values := newValues(*valueBytes)
	if *fill {
		if err := fillKeys(ctx, connected, values); err != nil {
			return err
		}
	}
	for i := range *watchers {
		watch(ctx, connected[i%len(connected)])
	}
	workers := make([]*worker, *clients)
	for i := range workers {
		if workers[i], err = newWorker(connected[i%len(connected)], values, i); err != nil {
			return err
		}
	}
	var running sync.WaitGroup
	for _, w := range workers {
		running.Go(func() { w.loop(ctx) })
	}
	time.Sleep(*warmup)
	before, seen, begin := usages(), events.Load(), time.Now()
	measuring.Store(true)
	time.Sleep(*duration)
	measuring.Store(false)
	took, after, seenAfter := time.Since(begin), usages(), events.Load()
	cancel()
	running.Wait()
	return report(workers, took, before, after, seenAfter-seen)
}

func connect() ([]*clientv3.Client, error) {
	connected := make([]*clientv3.Client, min(*connections, *clients))
	for i := range connected {
		client, err := clientv3.New(clientv3.Config{
			Endpoints:   strings.Split(*endpoints, ","),
			DialTimeout: 5 * time.Second,
			// What fails is counted; what is cut off at the end is not worth a line.
			Logger: zap.NewNop(),
		})
		if err != nil {
			return nil, err
		}
		connected[i] = client
	}
	return connected, nil
}

func fillKeys(ctx context.Context, connected []*clientv3.Client, values *values) error {
	var next atomic.Int64
	var filling sync.WaitGroup
	var failure atomic.Pointer[error]
	for i := range fillAhead * len(connected) {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		filling.Go(func() {
			for failure.Load() == nil {
				number := next.Add(1) - 1
				if number >= *keys {
					return
				}
				if _, err := connected[i%len(connected)].Put(ctx, key(number), values.choose(random)); err != nil {
					failure.Store(&err)
				}
			}
		})
	}
	filling.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

func watch(ctx context.Context, client *clientv3.Client) {
	changes := client.Watch(ctx, *watchPrefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-changes
	go func() {
		for change := range changes {
			events.Add(int64(len(change.Events)))
		}
	}()
}

type worker struct {
	client  *clientv3.Client
	random  *rand.Rand
	values  *values
	mutex   *concurrency.Mutex
	samples []time.Duration
}

func newWorker(client *clientv3.Client, values *values, number int) (*worker, error) {
	w := &worker{client: client, values: values, random: rand.New(rand.NewPCG(2, uint64(number)))}
	if *operation == "lock" {
		// A session for each client: two of one session do not exclude each other.
		session, err := concurrency.NewSession(client)
		if err != nil {
			return nil, err
		}
		locks := *names
		if locks == 0 {
			locks = *clients
		}
		w.mutex = concurrency.NewMutex(session, fmt.Sprintf("/lock-%d/", number%locks))
	}
	return w, nil
}

func (w *worker) loop(ctx context.Context) {
	for ctx.Err() == nil {
		begin := time.Now()
		err := w.perform(ctx)
		took := time.Since(begin)
		switch {
		case !measuring.Load():
		case err == nil:
			w.samples = append(w.samples, took)
		default:
			text := err.Error()
			firstFailure.CompareAndSwap(nil, &text)
			failed.Add(1)
		}
	}
}

func (w *worker) perform(ctx context.Context) error {
	switch *operation {
	case "put":
		_, err := w.client.Put(ctx, w.key(), w.values.choose(w.random))
		return err
	case "get":
		_, err := w.client.Get(ctx, w.key())
		return err
	case "get-sequential":
		_, err := w.client.Get(ctx, w.key(), clientv3.WithSerializable())
		return err
	case "lock":
		if err := w.mutex.Lock(ctx); err != nil {
			return err
		}
		return w.mutex.Unlock(ctx)
	}
	return fmt.Errorf("%q is no operation", *operation)
}

func (w *worker) key() string {
	return key(w.random.Int64N(*keys))
}

func key(number int64) string {
	digits := strconv.FormatInt(number, 10)
	return strings.Repeat("0", max(0, *keyBytes-len(digits))) + digits
}

// Values that cannot be compressed.
type values struct {
	pool  string
	bytes int
}

const poolBytes = 1 << 20

func newValues(bytes int) *values {
	random := rand.NewChaCha8([32]byte{1})
	pool := make([]byte, poolBytes+bytes)
	_, _ = random.Read(pool)
	return &values{string(pool), bytes}
}

func (v *values) choose(random *rand.Rand) string {
	start := random.IntN(poolBytes)
	return v.pool[start : start+v.bytes]
}

func printJSON(report any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
