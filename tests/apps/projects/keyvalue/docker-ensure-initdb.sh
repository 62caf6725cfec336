#!/bin/sh
umask
id
