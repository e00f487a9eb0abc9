"""The formats of log lines that are understood, one noun a file; `known` lists them and tells them apart."""
