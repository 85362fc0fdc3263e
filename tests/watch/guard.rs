//! A look, again and again, at what no trouble may take away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rollcall::zone::Reader;

use super::{has, has_address};

/// Looks again and again whether what must never go away is there.
pub(crate) struct Guard {
    stop: Arc<AtomicBool>,
    misses: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Guard {
    pub(crate) fn on(reader: Reader) -> Self {
        let (stop, misses) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, missed) = (stop.clone(), misses.clone());
        let thread = std::thread::spawn(move || {
            let mut looks = 0;
            loop {
                let whole =
                    has(&reader, "kubia") && has_address(&reader, "10.0.0.1") && reader.has_namespace(b"default");
                missed.fetch_add(u64::from(!whole), Ordering::Relaxed);
                looks += 1;
                // A busy machine may start this thread when all is over: one look there is always.
                if stopped.load(Ordering::Relaxed) {
                    return looks;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        Self { stop, misses, thread: Some(thread) }
    }

    pub(crate) fn held(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let looks = self.thread.take().unwrap().join().unwrap();
        assert_eq!(
            self.misses.load(Ordering::Relaxed),
            0,
            "names that never changed were missing in some of {looks} looks"
        );
    }
}
