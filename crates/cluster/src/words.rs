//! Words between the nodes: what is told while the shared store is away waits here, and what is heard is handed on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use store::{Error, Peers, Store, Word};
use tokio::sync::Notify;

use crate::link::Link;

/// Words that wait for the shared store at most; later ones are lost.
const MAX_WAITING: usize = 1000;

/// How long to leave a store alone that did not take a word.
const PAUSE: Duration = Duration::from_millis(500);

/// Is given the text of each word on a channel; must not block.
pub type Hearer = Arc<dyn Fn(&str) + Send + Sync>;

/// What this node tells the others and hears from them. It can be used before the store is known.
#[derive(Default)]
pub struct Words {
    line: OnceLock<Line>,
    waiting: Mutex<VecDeque<Word>>,
    /// Something waits.
    wake: Notify,
    hearers: Mutex<HashMap<&'static str, Hearer>>,
}

/// The way to the others.
struct Line {
    store: Arc<dyn Store>,
    link: Arc<Link>,
}

impl Words {
    /// Tells all other nodes; nobody, if the store is not shared.
    ///
    /// # Errors
    /// `Unavailable` when the shared store is out of reach; the word is told when it is back, unless very many wait.
    pub async fn tell(&self, channel: &str, text: String) -> Result<(), Error> {
        let word = Word {
            channel: channel.to_owned(),
            text,
        };
        let Some(line) = self.line.get() else {
            return self.keep(word, Error::Unavailable("the node is starting".to_owned()));
        };
        let Some(peers) = line.store.peers() else {
            return Ok(());
        };
        if line.link.is_down() || !self.waiting.lock().is_empty() {
            let reason = "the database is out of reach".to_owned();
            return self.keep(word, Error::Unavailable(reason));
        }
        match peers.tell(&word).await {
            Err(error) if error.is_outage() => {
                line.link.prod();
                self.keep(word, error)
            }
            answer => answer,
        }
    }

    /// Hands what others tell on a channel to somebody from now on, in place of whoever heard it before.
    pub fn hear(&self, channel: &'static str, hearer: Hearer) {
        self.hearers.lock().insert(channel, hearer);
        if let Some(peers) = self.line.get().and_then(|line| line.store.peers()) {
            peers.listen(channel);
        }
    }

    /// Keeps a word for later.
    fn keep(&self, word: Word, error: Error) -> Result<(), Error> {
        let mut waiting = self.waiting.lock();
        if waiting.len() < MAX_WAITING {
            waiting.push_back(word);
            self.wake.notify_one();
        } else {
            tracing::error!(channel = %word.channel, "too many words to the other nodes wait for the database; one is lost");
        }
        Err(error)
    }

    /// Carries words both ways until the task is aborted. Only the first call has an effect.
    pub(crate) async fn carry(&self, store: Arc<dyn Store>, link: Arc<Link>) {
        if self.line.set(Line { store, link }).is_err() {
            return;
        }
        let Some(line) = self.line.get() else {
            return;
        };
        let Some(peers) = line.store.peers() else {
            self.waiting.lock().clear();
            return;
        };
        let channels: Vec<_> = self.hearers.lock().keys().copied().collect();
        for channel in channels {
            peers.listen(channel);
        }
        tokio::join!(self.hand_on(peers), self.deliver(peers, &line.link));
    }

    async fn hand_on(&self, peers: &dyn Peers) {
        loop {
            for word in peers.told().await {
                let hearer = self.hearers.lock().get(word.channel.as_str()).cloned();
                if let Some(hearer) = hearer {
                    hearer(&word.text);
                }
            }
        }
    }

    /// Tells what waits, in its order.
    async fn deliver(&self, peers: &dyn Peers, link: &Link) {
        loop {
            let first = self.waiting.lock().front().cloned();
            let Some(word) = first else {
                self.wake.notified().await;
                continue;
            };
            let told = match link.is_down() {
                true => Err(Error::Unavailable(String::new())),
                false => peers.tell(&word).await,
            };
            match told {
                Err(error) if error.is_outage() => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => {
                    tracing::error!(channel = %word.channel, %error, "a word to the other nodes is lost");
                }
                Ok(()) => {}
            }
            self.waiting.lock().pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
