"""The routes, by what they are about. Each route is a method that takes a request."""
