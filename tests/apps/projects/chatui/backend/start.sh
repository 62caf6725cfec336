#!/usr/bin/env bash
exec python3 main.py
