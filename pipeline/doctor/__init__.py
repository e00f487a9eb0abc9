"""The doctor: usual misconfigurations, found and explained. One small function a check; `examine.CHECKS` lists them."""
