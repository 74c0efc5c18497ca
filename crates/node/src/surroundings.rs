//! What of a machine would keep a node from starting there, found out without changing anything.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use config::Settings;
use net::listen::ListenAddress;
use nix::unistd::{AccessFlags, access};

use crate::convert;

/// What a start with these settings would fail with on this machine, as this user. Another machine may have the
/// addresses and folders; ports that are taken are not among it, for the node itself may have them.
pub fn obstacles(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    folder(settings, &mut found);
    log_files(settings, &mut found);
    listeners(settings, &mut found);
    found
}

/// The prefix is made by a start, so the closest folder above it that there is decides.
fn folder(settings: &Settings, found: &mut Vec<String>) {
    let prefix = &settings.prefix;
    let existing = prefix.ancestors().find(|path| path.exists());
    if let Some(Err(reason)) = existing.map(may_write_in) {
        found.push(format!("prefix: {}: {reason}", prefix.display()));
    }
}

fn log_files(settings: &Settings, found: &mut Vec<String>) {
    let logs = &settings.logs;
    let files = [
        ("proxy_error_log", &logs.error),
        ("proxy_access_log", &logs.proxy_access),
        ("admin_access_log", &logs.admin_access),
        ("status_access_log", &logs.status_access),
    ];
    // A start makes this one.
    let own = settings.prefix.join("logs");
    for (setting, path) in files {
        let Some(path) = path else { continue };
        let writable = match path.parent() {
            _ if path.is_dir() => Err("it is a folder".to_owned()),
            _ if path.exists() => may_write(path),
            Some(folder) if folder == own => Ok(()),
            Some(folder) => may_write_in(folder),
            None => Ok(()),
        };
        if let Err(reason) = writable {
            found.push(format!("{setting}: {}: {reason}", path.display()));
        }
    }
}

fn listeners(settings: &Settings, found: &mut Vec<String>) {
    let all = [
        ("proxy_listen", &settings.listeners.proxy),
        ("admin_listen", &settings.listeners.admin),
        ("status_listen", &settings.listeners.status),
    ];
    let mut owners: HashMap<SocketAddr, &str> = HashMap::new();
    for (setting, listeners) in all {
        let specs = match convert::listen_specs(setting, listeners, &settings.prefix) {
            Ok(specs) => specs,
            Err(error) => {
                found.push(error.to_string());
                continue;
            }
        };
        for spec in specs {
            let usable = match &spec.address {
                ListenAddress::Tcp(address) => match owners.insert(*address, setting) {
                    Some(other) if other != setting => Err(format!("{other} has it as well")),
                    _ => is_of_this_machine(*address),
                },
                ListenAddress::Unix(path) => path.parent().map_or(Ok(()), |folder| {
                    let made = folder == settings.prefix.join("sockets");
                    if made { Ok(()) } else { may_write_in(folder) }
                }),
            };
            if let Err(reason) = usable {
                found.push(format!("{setting}: {}: {reason}", spec.address));
            }
        }
    }
}

/// Asks for any port of the address, and gives it back.
fn is_of_this_machine(address: SocketAddr) -> Result<(), String> {
    let bound = UdpSocket::bind((address.ip(), 0));
    bound.map(drop).map_err(|error| error.to_string())
}

fn may_write_in(folder: &Path) -> Result<(), String> {
    if !folder.is_dir() {
        return Err(format!("there is no folder {}", folder.display()));
    }
    let allowed = access(folder, AccessFlags::W_OK | AccessFlags::X_OK);
    allowed.map_err(|errno| format!("{}: {}", folder.display(), errno.desc()))
}

fn may_write(file: &Path) -> Result<(), String> {
    access(file, AccessFlags::W_OK).map_err(|errno| errno.desc().to_owned())
}
