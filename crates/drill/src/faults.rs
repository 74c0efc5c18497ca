//! Everything that a cluster is broken by: a table, and a function for each row.

mod counters;
mod database;
mod disk;
mod network;
mod nodes;

use std::time::Duration;

use crate::cluster::{Cluster, Limited};
use crate::load::{CONNECTIONS, Method};
use crate::report::{Outcome, shown};

/// Breaks something and mends it, while requests are sent.
type Act = fn(&mut Stage<'_>) -> anyhow::Result<()>;

/// One way to break a cluster.
pub struct Fault {
    /// What happens, for the table.
    pub name: &'static str,
    /// Whether it belongs to the quick drill.
    pub quick: bool,
    pub needs: Needs,
    /// What clients send meanwhile.
    pub method: Method,
    /// Where the counters are that limit them.
    pub limited: Limited,
    pub may_fail: MayFail,
    pub act: Act,
}

/// What a fault needs besides the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// A database that follows the first.
    Standby,
    /// Rights to make networks and disks.
    Root,
}

/// Which requests may fail although nothing is wrong with the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayFail {
    None,
    /// Those that a node had when it fell silent: nobody can know that it will never answer, so nobody repeats them.
    InFlight,
    /// There is nobody who could answer.
    All,
}

impl MayFail {
    /// How many, of clients that wait for each answer.
    pub fn limit(self) -> u64 {
        match self {
            Self::None => 0,
            Self::InFlight => u64::from(CONNECTIONS),
            Self::All => u64::MAX,
        }
    }
}

/// Where a fault takes place.
pub struct Stage<'a> {
    pub cluster: &'a Cluster,
    /// How long a fault lasts that could last for ever.
    pub hold: Duration,
    /// How long the database is away where that is the fault.
    pub outage: Duration,
    pub outcome: &'a mut Outcome,
}

impl Stage<'_> {
    fn note(&mut self, text: impl Into<String>) {
        self.outcome.notes.push(text.into());
    }

    /// Notes how long something took.
    fn time(&mut self, what: &str, took: Duration) {
        self.note(format!("{what} {}", shown(took)));
    }

    fn problem(&mut self, text: impl Into<String>) {
        self.outcome.problems.push(text.into());
    }
}

const fn fault(name: &'static str, quick: bool, act: Act) -> Fault {
    Fault {
        name,
        quick,
        needs: Needs::Nothing,
        method: Method::Get,
        limited: Limited::Not,
        may_fail: MayFail::None,
        act,
    }
}

/// All faults, in the order in which they are tried: the last ones leave the cluster changed.
pub const ALL: &[Fault] = &[
    fault("nothing, for comparison", true, nodes::leave_alone),
    fault("kill -9 of one node of three", true, nodes::kill_one),
    fault("kill -9 of two nodes of three", false, nodes::kill_two),
    Fault {
        may_fail: MayFail::InFlight,
        ..fault("one node frozen (SIGSTOP)", false, nodes::freeze)
    },
    fault("rolling restart of all nodes", true, nodes::rolling_restart),
    Fault {
        method: Method::Post,
        ..fault(
            "rolling restart of all nodes, clients send POST",
            true,
            nodes::rolling_restart,
        )
    },
    fault("PostgreSQL crashes and stays away", true, database::stop),
    fault("PostgreSQL frozen (SIGSTOP)", true, database::freeze),
    fault(
        "PostgreSQL slow (0.2 s each way)",
        true,
        database::slow_down,
    ),
    Fault {
        limited: Limited::Redis,
        ..fault(
            "Redis crashes and stays away, limits in it",
            true,
            counters::stop_redis,
        )
    },
    Fault {
        limited: Limited::Redis,
        ..fault(
            "Redis frozen (SIGSTOP), limits in it",
            true,
            counters::freeze_redis,
        )
    },
    Fault {
        limited: Limited::Redis,
        ..fault(
            "Redis slow (2 s for each answer), limits in it",
            false,
            counters::slow_redis_down,
        )
    },
    Fault {
        limited: Limited::RedisSynced,
        ..fault(
            "Redis frozen (SIGSTOP), limits sent there every second",
            false,
            counters::freeze_redis,
        )
    },
    Fault {
        limited: Limited::Database,
        ..fault(
            "PostgreSQL crashes and stays away, limits in it",
            false,
            counters::stop_database,
        )
    },
    Fault {
        limited: Limited::Database,
        ..fault(
            "PostgreSQL frozen (SIGSTOP), limits in it",
            false,
            database::freeze,
        )
    },
    fault("PostgreSQL takes no connections", false, database::exhaust),
    fault(
        "one node cut off from PostgreSQL",
        true,
        network::cut_from_database,
    ),
    Fault {
        needs: Needs::Root,
        may_fail: MayFail::InFlight,
        ..fault("one node cut off from everything", false, network::cut_off)
    },
    Fault {
        needs: Needs::Root,
        ..fault("one node's disk full", false, disk::fill)
    },
    fault(
        "everything restarted, one at a time, in three orders",
        false,
        nodes::restart_in_any_order,
    ),
    Fault {
        may_fail: MayFail::All,
        ..fault(
            "everything killed at once, nodes back before PostgreSQL",
            false,
            nodes::power_failure,
        )
    },
    Fault {
        needs: Needs::Standby,
        ..fault(
            "PostgreSQL's primary lost, standby promoted",
            false,
            database::switch,
        )
    },
];

#[cfg(test)]
mod tests;
