using Workerd = import "/workerd/workerd.capnp";

# The socket's address is given on the command line.
const config :Workerd.Config = (
  services = [(name = "main", worker = .main)],
  sockets = [(name = "http", http = (), service = "main")],
);

const main :Workerd.Worker = (
  modules = [(name = "main", esModule = embed "workerd_main.js")],
  compatibilityDate = "2025-10-01",
  compatibilityFlags = ["experimental"],
  bindings = [(name = "LOADER", workerLoader = (id = "jobs"))],
);
