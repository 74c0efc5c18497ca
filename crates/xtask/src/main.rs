//! The project's own commands: `cargo xtask COMMAND`. Nothing has to be installed for them.

mod bench;
mod cluster;
mod conformance;
mod deploy;
mod dist;
mod documents;
mod drill;
mod layers;
mod licences;
mod new_plugin;
mod node;
mod packages;
mod python;
mod schemathesis;
mod steps;
mod tidy;

use anyhow::bail;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test            install what is missing, then everything that must hold: format, tidy, clippy, tests, conformance
  tidy            layering, file headers, dependency reasons, licences
  gen             write the generated documents (docs/settings.md, docs/openapi.json, ...)
  schemathesis    test the Admin API of a node against its own OpenAPI document
                  [--store postgres|sqlite]
  conformance     replay Kong's recorded answers against a node
                  [--store postgres|sqlite] [--release] [--only TEXT] [--verbose]
  cluster         start PostgreSQL, nodes, nginx, Prometheus and an upstream; ctrl-c ends them
                  [--nodes N] [--release] [--binary FILE], or --check to see that it works
  deploy          check the files of deploy/ with the engines that read them
  drill           break a cluster in many ways under load, and count what clients notice
                  [--quick] [--only TEXT] [--rate N] [--outage SECONDS] [--binary FILE] [--list]
                  [--against FILE --yes-break-it]
  new-plugin      write the folder of a plugin that compiles, and register it
                  NAME [--family auth|traffic|transform|observe|serverless|ai]
  dist            build the program as it is shipped, compiled by what it does under load
  bench           compare CPU time and memory with nginx's
                  [--quick] [--only GROUP] [--dist | --binary FILE] [--output FILE]
";

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    match command.as_str() {
        "test" => steps::test(),
        "tidy" => tidy::run(),
        "gen" => documents::write(),
        "schemathesis" => schemathesis::run(&rest),
        "conformance" => conformance::run(&rest),
        "cluster" if rest == ["--check"] => cluster::check(),
        "cluster" => cluster::run(&rest),
        "deploy" => deploy::check(),
        "drill" => drill::run(&rest),
        "dist" => dist::run(),
        "bench" => bench::run(&rest),
        "new-plugin" => new_plugin::run(&rest),
        "" | "help" | "--help" | "-h" => {
            steps::say(USAGE);
            Ok(())
        }
        other => bail!("there is no command {other:?}\n\n{USAGE}"),
    }
}
