//! The node's log, for plugins that send it elsewhere.

use std::sync::{Arc, Weak};

use observe::logging::{Follower, Handle, Line};
use plugin_api::{LogLine, LogLines, NodeLog};

/// The log of the process.
pub struct ProcessLog(pub Handle);

/// Hands lines on to a plugin. The log holds it; it ends once the plugin has gone.
struct Following(Weak<LogLines>);

impl NodeLog for ProcessLog {
    fn follow(&self) -> Arc<LogLines> {
        Arc::new_cyclic(|lines| {
            self.0.follow(Box::new(Following(lines.clone())));
            LogLines::default()
        })
    }
}

impl Follower for Following {
    fn line(&self, line: &Line) -> bool {
        let Some(lines) = self.0.upgrade() else {
            return false;
        };
        lines.push(LogLine {
            time: line.time,
            level: line.level.name(),
            source: line.source,
            message: line.message.clone(),
            fields: line.fields.clone(),
        });
        true
    }
}
