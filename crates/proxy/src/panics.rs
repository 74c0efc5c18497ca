//! A panic in one exchange ends that exchange and nothing else.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Runs `work`; `None` if it panicked. What it borrowed may be half changed: use it only to say goodbye.
pub(crate) fn caught<T>(
    mut work: Pin<&mut (impl Future<Output = T> + ?Sized)>,
) -> impl Future<Output = Option<T>> {
    std::future::poll_fn(move |cx| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Ready(done)) => Poll::Ready(Some(done)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
}

/// The same for work that does not wait.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_and_not_passed_on() {
        assert_eq!(caught(pin!(async { 7 })).await, Some(7));
        assert_eq!(
            caught(pin!(async {
                if true {
                    panic!("on purpose")
                }
            }))
            .await,
            None
        );
    }
}
