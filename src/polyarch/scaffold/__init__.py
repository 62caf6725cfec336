"""Scaffolds: the names and a few files of a project → a Dockerfile, .dockerignore and bake file for it"""
