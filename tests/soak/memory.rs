//! The memory of a process over time, and whether it grows.

use std::time::Instant;

/// What a process holds of its own, in KiB, now and then.
#[derive(Debug, Default)]
pub(crate) struct Memory(Vec<(f64, f64)>);

/// A straight line through what was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slope {
    /// In KiB a minute.
    pub(crate) slope: f64,
    /// Twice the standard error of that.
    pub(crate) noise: f64,
    /// The time that it is drawn through.
    pub(crate) minutes: f64,
}

impl Memory {
    /// Looks at a process.
    pub(crate) fn look(&mut self, process: u32, since: Instant) {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        if let Some(kib) = anonymous.and_then(|rest| rest.split_whitespace().next()?.parse().ok()) {
            self.0.push((since.elapsed().as_secs_f64() / 60.0, kib));
        }
    }

    /// The most that was seen, in KiB.
    pub(crate) fn most(&self) -> f64 {
        self.0.iter().map(|(_, kib)| *kib).fold(0.0, f64::max)
    }

    /// The line through the second half, in which a server has seen everything once; none of too few looks.
    pub(crate) fn slope(&self) -> Option<Slope> {
        let half = self.0.get(self.0.len() / 2..).filter(|half| half.len() >= 10)?;
        let count = half.len() as f64;
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| half.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(&|look| look.0), mean(&|look| look.1));
        let spread: f64 = half.iter().map(|look| (look.0 - x).powi(2)).sum();
        let slope = half.iter().map(|look| (look.0 - x) * (look.1 - y)).sum::<f64>() / spread;
        let rest: f64 = half.iter().map(|look| (look.1 - y - slope * (look.0 - x)).powi(2)).sum();
        let minutes = half[half.len() - 1].0 - half[0].0;
        Some(Slope { slope, noise: 2.0 * (rest / (count - 2.0) / spread).sqrt(), minutes })
    }
}

#[test]
fn what_grows_is_told_from_noise() {
    let line = |grows: f64| {
        let look = |n: i32| (f64::from(n) / 30.0, 20_000.0 + f64::from(n) / 30.0 * grows + f64::from(n * 7919 % 101));
        Memory((0..200).map(look).collect()).slope().unwrap()
    };
    let (still, leak) = (line(0.0), line(100.0));
    assert!(still.slope.abs() < still.noise * 1.5, "{still:?}");
    assert!(leak.slope > 80.0 && leak.slope > leak.noise * 3.0, "{leak:?}");
}
