//! How many connections there are, and whether anything still runs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::forwarded::Proxies;
use super::server::Limits;

/// Counts connections, in all and by address.
#[derive(Clone)]
pub(super) struct Connections {
    limits: Limits,
    proxies: Proxies,
    /// The same number for others to look at.
    shown: Arc<AtomicU64>,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place; it is free again when this is dropped.
pub(super) struct Slot {
    connections: Connections,
    address: Option<IpAddr>,
}

impl Connections {
    pub(super) fn new(limits: Limits, proxies: Proxies, shown: Arc<AtomicU64>) -> Connections {
        Connections {
            limits,
            proxies,
            shown,
            open: Arc::default(),
        }
    }

    /// A place for a connection from this address, if there is one.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Slot> {
        let address = address.to_canonical();
        // A proxy stands for everybody.
        let is_proxy = address.is_loopback() || self.proxies.trust(address);
        let counted = (!is_proxy).then_some(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.limits.connections_max {
            return None;
        }
        if let Some(address) = counted {
            let of_address = open.by_address.entry(address).or_default();
            if *of_address >= self.limits.connections_per_address_max {
                return None;
            }
            *of_address += 1;
        }
        open.total += 1;
        self.shown.store(open.total as u64, Ordering::Relaxed);
        Some(Slot {
            connections: self.clone(),
            address: counted,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let open = &self.connections.open;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        let shown = &self.connections.shown;
        shown.store(open.total as u64, Ordering::Relaxed);
        if let Some(address) = self.address
            && let Some(of_address) = open.by_address.get_mut(&address)
        {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

/// What still runs: connections, and handlers that outlive theirs.
#[derive(Clone)]
pub(super) struct Running(watch::Sender<usize>);

/// One thing that runs, until this is dropped.
pub(super) struct Entered(watch::Sender<usize>);

impl Running {
    pub(super) fn new() -> Running {
        Running(watch::Sender::new(0))
    }

    pub(super) fn enter(&self) -> Entered {
        self.0.send_modify(|count| *count += 1);
        Entered(self.0.clone())
    }

    /// Waits until nothing runs any more.
    pub(super) async fn ended(&self) {
        // The sender is ours, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_address() {
        let connections = Connections::new(
            Limits {
                connections_max: 4,
                connections_per_address_max: 2,
                ..Limits::default()
            },
            Proxies::none(),
            Arc::default(),
        );
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let first = connections.admit(a).unwrap();
        let _second = connections.admit(mapped).unwrap();
        assert!(connections.admit(a).is_none());
        let _third = connections.admit(b).unwrap();
        drop(first);
        let _fourth = connections.admit(a).unwrap();
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        let fifth = connections.admit(local).unwrap();
        assert!(connections.admit(local).is_none() && connections.admit(b).is_none());
        drop(fifth);
        assert!(connections.admit(b).is_some());
    }

    /// What a proxy brings comes from many, wherever the proxy stands; all of it together is still bounded.
    #[test]
    fn connections_of_a_trusted_proxy_are_not_one_clients() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let connections = Connections::new(
            Limits {
                connections_max: 4,
                connections_per_address_max: 1,
                ..Limits::default()
            },
            Proxies::trusted(move |address| address == proxy),
            Arc::default(),
        );
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let held = [proxy, mapped, proxy].map(|address| connections.admit(address).unwrap());
        let other: IpAddr = "10.0.0.2".parse().unwrap();
        let _fourth = connections.admit(other).unwrap();
        assert!(connections.admit(proxy).is_none());
        drop(held);
        assert!(connections.admit(other).is_none());
    }
}
