"""The real `fab` against practice servers. The files run in order; in one, each test builds on those before."""
