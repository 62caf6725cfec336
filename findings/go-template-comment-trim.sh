#!/bin/bash
# Go 1.19.8, text/template (docker's --format): a comment takes exactly one space before its trim marker.
#
# Guess: `{{/* note */  -}}` with two spaces is as good as with one, because an action takes any number of spaces
# there, and aligned templates have several.
# What happens: an action with two spaces works, and a comment with two is the error "comment ends before closing
# delimiter". A program that reads docker's templates without Go must accept one and refuse the other.
source "$(dirname "$0")/common/packages.sh"

debian bookworm golang-1.19-go=1.19.8-2 golang-1.19-src=1.19.8-2
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"text/template"
)

func main() {
	for _, text := range []string{`{{"x"  -}} y`, `{{/* note */ -}} y`, `{{/* note */  -}} y`} {
		parsed, err := template.New("t").Parse(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		parsed.Execute(os.Stdout, nil)
		fmt.Println()
	}
}
GO
export GOROOT=$work/go GOCACHE=$work/cache GOPATH=$work/path GO111MODULE=off CGO_ENABLED=0
cp -rL "$work/debian/usr/lib/go-1.19" "$GOROOT" 2>/dev/null || true
cp -rL "$work/debian/usr/share/go-1.19/." "$GOROOT/"
expect "an action and two comments" "xy;y;template: t:1: comment ends before closing delimiter" \
  "$("$GOROOT/bin/go" run main.go | paste -sd';')"
