//! Starts a Redis, says its process id and its port, and waits for the end of its input.

use std::io::Read as _;

#[expect(clippy::print_stdout, reason = "this is a command for people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let redis = fleet::Redis::start()?;
    println!("{} {}", redis.pid().unwrap_or_default(), redis.port());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
