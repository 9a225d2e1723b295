"""A server of trained models over HTTP; needs the extra `serve`.

`app` says which address answers what, `protocols` in which shapes (Hugging Face, KServe, Label Studio), `batching` lets requests of
several connections be computed together, `engines` does the computing, and `server` listens.
"""
