//! Several nodes on one PostgreSQL.

use fleet::{Durability, Postgres};

use crate::node::Node;
use crate::place::Place;
use crate::{PATIENCE, eventually};

/// The database that the nodes of a cluster share.
const DATABASE: &str = "kong";

/// A PostgreSQL with the tables of a cluster, and places for its nodes.
#[derive(Debug)]
pub struct Cluster {
    // Nodes end before their database.
    places: Vec<Place>,
    postgres: Postgres,
}

impl Cluster {
    /// A database that `migrations bootstrap` has filled, and places for so many nodes, none of which runs yet.
    pub fn new(nodes: usize) -> Self {
        let postgres = Postgres::start(Durability::Fast).expect("a PostgreSQL");
        postgres.create_database(DATABASE).expect("a database");
        let cluster = Self {
            places: (0..nodes).map(|_| Place::on(&postgres, DATABASE)).collect(),
            postgres,
        };
        cluster.place(0).succeed(&["migrations", "bootstrap"]);
        cluster
    }

    /// The same with a setting of all nodes: its name without `KONG_`, in upper case.
    pub fn with(self, name: &str, value: &str) -> Self {
        for place in &self.places {
            place.set(name, value);
        }
        self
    }

    /// Where a node runs, from 0.
    pub fn place(&self, number: usize) -> &Place {
        &self.places[number]
    }

    /// Starts all nodes and returns when they serve.
    pub fn start<const N: usize>(&self) -> [Node<'_>; N] {
        assert_eq!(N, self.places.len(), "one node a place");
        std::array::from_fn(|number| self.place(number).start())
    }

    /// The server, to stop, pause and look into.
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// Runs SQL in the nodes' database as a person would; rows as lines, columns divided by `|`.
    pub fn query(&self, sql: &str) -> String {
        self.postgres.query(DATABASE, sql).expect("SQL that runs")
    }
}

/// Waits until a proxy answers a path with a status.
pub fn eventually_answers(node: &Node, path: &str, status: u16) {
    eventually(&format!("{path} answers {status}"), || {
        let answer = node.client().with_patience(PATIENCE).try_get(path);
        answer.is_ok_and(|answer| answer.status == status)
    });
}
