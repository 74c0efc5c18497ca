//! Counters of rate limits that go away. Requests pass unlimited meanwhile, which is what the limits are configured to do;
//! what is counted here is what clients notice.

use std::time::Duration;

use fleet::Stop;

use super::Stage;
use crate::relay::Way;
use crate::wait;

/// How long a delay in each direction is that makes Redis slow: together as long as nodes wait for it.
const DELAY: Duration = Duration::from_secs(1);

pub(super) fn stop_redis(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.cluster.redis.stop()?;
    wait::pass(stage.hold);
    Ok(stage.cluster.redis.resume()?)
}

pub(super) fn freeze_redis(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.cluster.redis.pause()?;
    wait::pass(stage.hold);
    Ok(stage.cluster.redis.unpause()?)
}

pub(super) fn slow_redis_down(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let relay = &stage.cluster.redis_relay;
    relay.set(Way::Slow(DELAY));
    wait::pass(stage.hold);
    relay.set(Way::Open);
    Ok(())
}

pub(super) fn stop_database(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.cluster.primary().stop(Stop::Immediate)?;
    wait::pass(stage.hold);
    Ok(stage.cluster.primary().resume()?)
}
