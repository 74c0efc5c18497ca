//! The one thread that starts programs.
//!
//! The kernel tells a child of the death of the thread that started it, not of the process. A test runs in a thread of
//! its own, and what it started may be shared with other tests; so all programs are started by a thread that lives as
//! long as the process.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};

use parking_lot::Mutex;

/// A program to start, and whom to give it.
type Order = (Command, Sender<io::Result<Child>>);

/// Starts a program from the thread that outlives all others.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, customer) in taken {
                // A customer that has gone away has dropped its end; the child is reaped by nobody, but ends with us.
                let _ = customer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (customer, delivery) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts programs has ended");
    orders
        .lock()
        .send((command, customer))
        .map_err(|_| gone())?;
    delivery.recv().map_err(|_| gone())?
}
