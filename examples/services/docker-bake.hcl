# The same images for bake. They stay in the store of the builder, without a registry.
group "default" {
  targets = ["web", "worker"]
}

target "base" {
  context = "base"
}

target "web" {
  context  = "web"
  contexts = { base = "target:base" }
  output   = ["type=image,name=services/web"]
}

target "worker" {
  context  = "worker"
  contexts = { base = "target:base" }
  args     = { EVERY = "30" }
  output   = ["type=image,name=services/worker"]
}
