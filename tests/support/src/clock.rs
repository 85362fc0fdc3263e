//! How much work something is.

use std::time::Duration;

/// How long this thread has been at work, whatever else the machine does.
#[expect(unsafe_code, reason = "a thread's own clock has no safe interface")]
pub fn worked() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec` where the pointer, to a live one, says.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}
