kcmctl completion fish | source
