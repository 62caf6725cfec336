// The oracle of tests/render/tables/templates.txt: runs templates as docker does and reports what they print.
//
// Standard input: {"value": ..., "titles": {...}, "cases": [{"template": "...", "header": false}, ...]}.
// Standard output: a list with {"output": "..."} or {"error": "..."} for each case.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"text/template"
)

type Case struct {
	Template string
	Header   bool
}

type Result struct {
	Output string `json:"output"`
	Error  string `json:"error"`
}

// The functions that docker adds, as docker/cli/templates documents them.
var functions = template.FuncMap{
	"json": func(value any) (string, error) {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(value)
		return strings.TrimSpace(out.String()), err
	},
	"split": strings.Split,
	"join":  join,
	"title": strings.Title,
	"lower": strings.ToLower,
	"upper": strings.ToUpper,
	"pad": func(text string, before, after int) string {
		if text == "" {
			return ""
		}
		return strings.Repeat(" ", before) + text + strings.Repeat(" ", after)
	},
	"truncate": func(text string, length int) string {
		if len(text) < length {
			return text
		}
		return text[:length]
	},
}

// In a header most of docker's functions leave the title as it is.
var headerFunctions = template.FuncMap{
	"json":     func(title string) string { return title },
	"split":    func(title, _ string) string { return title },
	"join":     func(title, _ string) string { return title },
	"title":    func(title string) string { return title },
	"lower":    func(title string) string { return title },
	"upper":    func(title string) string { return title },
	"truncate": func(title string, _ int) string { return title },
}

func join(values any, separator string) (string, error) {
	if values == nil {
		return "", nil
	}
	list := reflect.ValueOf(values)
	var texts []string
	switch list.Kind() {
	case reflect.Slice:
		for i := 0; i < list.Len(); i++ {
			texts = append(texts, fmt.Sprint(list.Index(i).Interface()))
		}
	case reflect.Map:
		for _, key := range list.MapKeys() {
			texts = append(texts, fmt.Sprint(list.MapIndex(key).Interface()))
		}
		sort.Strings(texts)
	default:
		return "", fmt.Errorf("expected slice, got %T", values)
	}
	return strings.Join(texts, separator), nil
}

// plain turns JSON's numbers into int where they are written so, else into float64.
func plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return int(whole)
		}
		number, _ := value.Float64()
		return number
	case []any:
		for i := range value {
			value[i] = plain(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = plain(value[key])
		}
	}
	return value
}

func run(asked Case, value any, titles map[string]string) Result {
	parsed, err := template.New("").Funcs(functions).Parse(asked.Template)
	if err != nil {
		return Result{Error: err.Error()}
	}
	var out bytes.Buffer
	if asked.Header {
		_ = parsed.Funcs(headerFunctions).Execute(&out, titles)
		return Result{Output: out.String()}
	}
	if err := parsed.Execute(&out, value); err != nil {
		return Result{Error: err.Error()}
	}
	return Result{Output: out.String()}
}

func main() {
	var asked struct {
		Value  any
		Titles map[string]string
		Cases  []Case
	}
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	if err := decoder.Decode(&asked); err != nil {
		panic(err)
	}
	value := plain(asked.Value)
	results := []Result{}
	for _, one := range asked.Cases {
		results = append(results, run(one, value, asked.Titles))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(results); err != nil {
		panic(err)
	}
}
