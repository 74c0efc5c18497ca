//! Random numbers that nobody can guess.

use aws_lc_rs::rand;
use plugin_api::Random;

/// The system's source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if rand::fill(bytes).is_err() {
            // Without a source of randomness no secret may be made; this process cannot go on safely.
            tracing::error!("the system gives no random numbers");
            std::process::abort();
        }
    }
}
