// Checks a checkpoint, a proof that a record is in the log, and a proof that the log continues an older one, with
// golang.org/x/mod/sumdb: the code that the go command uses for the checksum database.
//
// A question on stdin (JSON), on stdout "ok" or what is wrong.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Key    string
	Old    string // a checkpoint
	New    string
	Index  int64
	Record string
	Path   []string `json:"record_proof"`
	Tree   []string `json:"tree_proof"`
}

func main() {
	if err := check(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func check() error {
	var q question
	if err := json.NewDecoder(os.Stdin).Decode(&q); err != nil {
		return err
	}
	verifier, err := note.NewVerifier(q.Key)
	if err != nil {
		return err
	}
	oldSize, oldRoot, err := open(q.Old, verifier)
	if err != nil {
		return fmt.Errorf("old: %v", err)
	}
	size, root, err := open(q.New, verifier)
	if err != nil {
		return fmt.Errorf("new: %v", err)
	}
	record, err := hashes(q.Path)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(record, size, root, q.Index, tlog.RecordHash([]byte(q.Record))); err != nil {
		return fmt.Errorf("record: %v", err)
	}
	tree, err := hashes(q.Tree)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(tree, size, root, oldSize, oldRoot); err != nil {
		return fmt.Errorf("tree: %v", err)
	}
	return nil
}

func open(text string, verifier note.Verifier) (int64, tlog.Hash, error) {
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return 0, tlog.Hash{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return 0, tlog.Hash{}, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return 0, tlog.Hash{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return size, root, err
}

func hashes(lines []string) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		found = append(found, hash)
	}
	return found, nil
}
