"""What tests share: a running system to use and to break."""
