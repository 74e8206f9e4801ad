package redshift

import (
	"encoding/json"
	"net/http"
	"time"
)

// profileJSON is a Profile with durations in milliseconds.
type profileJSON struct {
	Copy      int64 `json:"copy_ms"`
	Merge     int64 `json:"merge_ms"`
	TempTable int64 `json:"temp_table_ms"`
	DML       int64 `json:"dml_ms"`
	Commit    int64 `json:"commit_ms"`
}

// faultJSON is a Fault with its delay in milliseconds.
type faultJSON struct {
	Fault
	DelayMS int64 `json:"delay_ms"`
}

// Control serves the stand-in's injection over HTTP, for a demo that runs it as
// a process:
//
//	POST   /faults        a Fault as JSON, with delay_ms
//	DELETE /faults        all faults, or ?name=…
//	GET    /faults?name=… how often it has struck
//	POST   /pause, /resume
//	POST   /drop-idle, /drop-all
//	PUT    /profile       copy_ms, merge_ms, temp_table_ms, dml_ms, commit_ms; or ?name=ra3
//	GET    /stats
//
// Config.Faults must be set.
func (s *Server) Control() http.Handler {
	in := s.cfg.Faults
	mux := http.NewServeMux()
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		var f faultJSON
		dec := json.NewDecoder(r.Body)
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if f.DelayMS > 0 {
			f.Delay = time.Duration(f.DelayMS) * time.Millisecond
		}
		in.Add(f.Fault)
		reply(w, map[string]string{"armed": f.Name})
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, r *http.Request) {
		if name := r.URL.Query().Get("name"); name != "" {
			in.Remove(name)
		} else {
			in.Clear()
		}
		reply(w, map[string]string{"removed": "ok"})
	})
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]int{"fired": in.Fired(r.URL.Query().Get("name"))})
	})
	mux.HandleFunc("POST /pause", func(w http.ResponseWriter, _ *http.Request) {
		in.Pause()
		reply(w, map[string]bool{"paused": true})
	})
	mux.HandleFunc("POST /resume", func(w http.ResponseWriter, _ *http.Request) {
		in.Resume()
		reply(w, map[string]bool{"paused": false})
	})
	mux.HandleFunc("POST /drop-idle", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]int{"dropped": s.DropIdle()})
	})
	mux.HandleFunc("POST /drop-all", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]int{"dropped": s.DropAll()})
	})
	mux.HandleFunc("PUT /profile", s.putProfile)
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Stats()) })
	return mux
}

func (s *Server) putProfile(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Query().Get("name") {
	case "ra3":
		s.SetProfile(ProfileRA3())
		reply(w, "ra3")
		return
	case "none":
		s.SetProfile(Profile{})
		reply(w, "none")
		return
	}
	var p profileJSON
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	s.SetProfile(Profile{Copy: ms(p.Copy), Merge: ms(p.Merge), TempTable: ms(p.TempTable), DML: ms(p.DML), Commit: ms(p.Commit)})
	reply(w, p)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
