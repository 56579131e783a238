"""What the images are made of: the digest of their base, a list of their contents, known vulnerabilities."""
