//! Pings that find dead peers.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use super::{Error, KeepAlive};

/// The ping clock of one connection; polled together with it.
pub(super) struct Heartbeat {
    timing: KeepAlive,
    ping: h2::PingPong,
    alarm: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Heartbeat {
    pub(super) fn new(timing: KeepAlive, ping: h2::PingPong) -> Self {
        Self {
            timing,
            ping,
            alarm: Box::pin(tokio::time::sleep(timing.interval)),
            waiting: false,
        }
    }

    /// Ready when the peer is given up.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            if self.waiting {
                match self.ping.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => {
                        self.waiting = false;
                        self.alarm
                            .as_mut()
                            .reset(Instant::now() + self.timing.interval);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(error.into()),
                    Poll::Pending => {}
                }
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.waiting {
                return Poll::Ready(Error::Unresponsive);
            }
            if let Err(error) = self.ping.send_ping(h2::Ping::opaque()) {
                return Poll::Ready(error.into());
            }
            self.waiting = true;
            self.alarm
                .as_mut()
                .reset(Instant::now() + self.timing.timeout);
        }
    }
}
