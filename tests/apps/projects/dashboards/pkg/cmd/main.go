package main

import (
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

var commit, branch string

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() { <-ended; os.Exit(0) }()
	files := http.FileServer(http.Dir("public"))
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Built", runtime.GOARCH+" "+commit+" "+branch)
		files.ServeHTTP(w, r)
	})
	if err := os.WriteFile(os.Getenv("DS_PATHS_DATA")+"/db", nil, 0o600); err != nil {
		panic(err)
	}
	panic(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
