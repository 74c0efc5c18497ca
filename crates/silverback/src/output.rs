//! What the commands print. Results go to standard output; errors, warnings and chatter to standard error.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::arguments::Verbosity;

/// Where a command says what it did.
#[derive(Debug, Clone)]
pub struct Output {
    verbosity: Verbosity,
    quiet: bool,
    called_kong: bool,
}

impl Output {
    /// Speaks of itself by the name that it was called by.
    pub fn new() -> Self {
        let program = std::env::args_os().next().unwrap_or_default();
        let name = Path::new(&program).file_name();
        Self {
            verbosity: Verbosity::Plain,
            quiet: false,
            called_kong: name.is_some_and(|name| name == "kong"),
        }
    }

    /// The same, more or less talkative.
    pub fn with_verbosity(mut self, verbosity: Verbosity) -> Self {
        self.verbosity = verbosity;
        self
    }

    /// The same, printing no results.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// `Kong` or `Silverback`, as the user calls the program; scripts look for Kong's sentences.
    pub fn name(&self) -> &'static str {
        if self.called_kong {
            "Kong"
        } else {
            "Silverback"
        }
    }

    /// The program's name in examples.
    pub fn program(&self) -> &'static str {
        if self.called_kong {
            "kong"
        } else {
            "silverback"
        }
    }

    /// Whether the program was called through a link named `kong`.
    pub fn is_kong(&self) -> bool {
        self.called_kong
    }

    /// A result.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            write_line(io::stdout().lock(), text.as_ref());
        }
    }

    /// Something that deserves attention.
    pub fn warn(&self, text: impl AsRef<str>) {
        write_line(io::stderr().lock(), &format!("Warning: {}", text.as_ref()));
    }

    /// A step, for `-v`.
    pub fn verbose(&self, text: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Verbose {
            write_line(io::stderr().lock(), text.as_ref());
        }
    }

    /// Prints an error with its causes.
    pub fn failure(&self, error: &anyhow::Error) -> ExitCode {
        write_line(io::stderr().lock(), &format!("Error: {}", words(error)));
        ExitCode::FAILURE
    }

    /// Prints help, or what is wrong with the arguments.
    pub fn usage(&self, error: &clap::Error) -> ExitCode {
        // If neither stream can be written there is nobody to tell.
        let _ = error.print();
        if error.use_stderr() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// An error with those of its causes that it does not name itself.
pub fn words(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// A reader that went away (`silverback … | head`) is no reason to fail.
fn write_line(mut to: impl io::Write, text: &str) {
    let _ = writeln!(to, "{text}");
}
