#!/bin/sh
exec builderctl "$@"
