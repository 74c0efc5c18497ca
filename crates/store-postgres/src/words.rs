//! Words between nodes, in Kong's table `cluster_events`, and a notification for each so that nobody has to wait for
//! the next poll.
//!
//! Invariant: a word that becomes visible late is still heard, because every look goes back further than the one before;
//! what was heard already is known by its id.

use std::collections::{BTreeSet, HashMap, VecDeque};

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use parking_lot::Mutex;
use store::{Error, Word};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::Shared;
use crate::cell::Micros;
use crate::cluster_events::{LATE, SENDER};
use crate::failure::Failure;
use crate::line::{Line, WORDS};
use crate::pool::Query;

/// Words that are read in one go.
const AT_ONCE: i64 = 500;

/// Words that wait for somebody to take them at most; the oldest go first.
const MAX_QUEUE: usize = 10_000;

/// What was heard, and how far.
#[derive(Default)]
pub(crate) struct Heard {
    /// The channels that somebody listens to.
    channels: Mutex<BTreeSet<String>>,
    place: Mutex<Known>,
    queue: Mutex<VecDeque<Word>>,
    /// Something is in the queue.
    filled: Notify,
}

#[derive(Default)]
struct Known {
    /// From where the next look reads; `None` before the first one, which hears nothing.
    after: Option<Micros>,
    /// The words behind that moment that were heard, or are this node's own, and their moments.
    ids: HashMap<Uuid, Micros>,
}

impl Known {
    /// Goes on to a moment.
    fn advance(&mut self, now: Micros) {
        let after = Micros(now.0.saturating_sub(LATE));
        self.after = Some(match self.after {
            // Unless another server with another clock took over.
            Some(before) if before <= now => after.max(before),
            Some(_) => after,
            // What was told before this node listened is not for it.
            None => now,
        });
        if let Some(after) = self.after {
            self.ids.retain(|_, at| *at > after);
        }
    }
}

impl Heard {
    pub(crate) fn listen(&self, channel: &str) {
        self.channels.lock().insert(channel.to_owned());
    }

    /// Takes what is in the queue; waits for it.
    pub(crate) async fn take(&self) -> Vec<Word> {
        loop {
            let words: Vec<_> = self.queue.lock().drain(..).collect();
            if !words.is_empty() {
                return words;
            }
            self.filled.notified().await;
        }
    }

    fn queue(&self, words: impl Iterator<Item = Word>) {
        let mut queue = self.queue.lock();
        queue.extend(words);
        let excess = queue.len().saturating_sub(MAX_QUEUE);
        if excess > 0 {
            tracing::warn!("{excess} words of other nodes were not taken in time and are lost");
            queue.drain(..excess);
        }
        self.filled.notify_one();
    }
}

/// Tells a word to everybody but this node.
pub(crate) async fn tell(shared: &Shared, word: &Word) -> Result<(), Error> {
    let id = Uuid::new_v4();
    let known = |at| shared.words.place.lock().ids.insert(id, at);
    // The notification may come before the answer.
    known(Micros(i64::MAX));
    match shared.ask(&Tell { id, word }).await {
        Ok(at) => {
            known(at);
            Ok(())
        }
        Err(error) => {
            shared.words.place.lock().ids.remove(&id);
            Err(error)
        }
    }
}

/// Reads what others have told since the last look.
pub(crate) async fn look(shared: &Shared, line: &Line) -> Result<(), Error> {
    let heard = &shared.words;
    loop {
        let read = {
            let known = heard.place.lock();
            Read {
                after: known.after,
                channels: heard.channels.lock().iter().cloned().collect(),
                known: known.ids.keys().copied().collect(),
            }
        };
        let told = line.ask(&read, shared.options.timeout).await;
        let mut told = told.map_err(Failure::into_error)?;
        let is_all = i64::try_from(told.words.len()).is_ok_and(|count| count < AT_ONCE);
        {
            let mut known = heard.place.lock();
            // This node may have told something since it asked.
            told.words.retain(|(id, _, _)| !known.ids.contains_key(id));
            for (id, at, _) in &told.words {
                known.ids.insert(*id, *at);
            }
            if is_all {
                known.advance(told.now);
            }
        }
        if !told.words.is_empty() {
            heard.queue(told.words.into_iter().map(|(_, _, word)| word));
        }
        if is_all {
            return Ok(());
        }
    }
}

/// Writes a word down; answers with its moment.
struct Tell<'a> {
    id: Uuid,
    word: &'a Word,
}

#[async_trait]
impl Query for Tell<'_> {
    type Output = Micros;

    async fn run(&self, client: &ClientWrapper) -> Result<Micros, Failure> {
        // Dated a little ahead, as in a commit.
        let sql = format!(
            "WITH written AS (
                INSERT INTO cluster_events (id, node_id, at, nbf, expire_at, channel, data)
                SELECT $1, $2, at, NULL, at + interval '1 hour', $3, $4
                FROM (SELECT date_trunc('milliseconds', clock_timestamp()) + interval '200 milliseconds') AS moment (at)
                RETURNING at)
            SELECT at, pg_notify('{WORDS}', current_schema()) FROM written"
        );
        let Word { channel, text } = self.word;
        let statement = client.prepare_cached(&sql).await?;
        let row = client
            .query_one(&statement, &[&self.id, &SENDER, channel, text])
            .await?;
        Ok(row.try_get(0)?)
    }
}

/// Looks for words on some channels.
struct Read {
    after: Option<Micros>,
    channels: Vec<String>,
    known: Vec<Uuid>,
}

/// What was told, with ids and moments, and the database's time.
struct Told {
    now: Micros,
    words: Vec<(Uuid, Micros, Word)>,
}

#[async_trait]
impl Query for Read {
    type Output = Told;

    /// Compat: a word of Kong's that is meant for later (`nbf`) is heard at once.
    async fn run(&self, client: &ClientWrapper) -> Result<Told, Failure> {
        let sql = "SELECT now, told.id, told.at, told.channel, told.data
            FROM (SELECT clock_timestamp() AS now) AS clock LEFT JOIN LATERAL (
                SELECT id, at, channel, data FROM cluster_events
                WHERE channel = ANY ($1) AND at > $2 AND id <> ALL ($3)
                ORDER BY at, id LIMIT $4) AS told ON true";
        let statement = client.prepare_cached(sql).await?;
        let rows = client
            .query(
                &statement,
                &[&self.channels, &self.after, &self.known, &AT_ONCE],
            )
            .await?;
        let mut told = Told {
            now: Micros(0),
            words: Vec::with_capacity(rows.len()),
        };
        for row in rows {
            told.now = row.try_get(0)?;
            if let (Some(id), Some(at)) = (row.try_get(1)?, row.try_get(2)?) {
                let word = Word {
                    channel: row.try_get(3)?,
                    text: row.try_get::<_, Option<String>>(4)?.unwrap_or_default(),
                };
                told.words.push((id, at, word));
            }
        }
        Ok(told)
    }
}
