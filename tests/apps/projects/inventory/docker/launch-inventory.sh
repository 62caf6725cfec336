#!/bin/bash
cd /opt/inventory && exec python -m inventory.serve
