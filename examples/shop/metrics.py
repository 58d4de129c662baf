"""Every metric of the shop's HTTP side in one place, with what it means."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5)


class Metrics:
    """One registry per process; `registry` also takes a component's own gauges."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "http_requests",
            "Requests answered, by route template and status",
            ["method", "path", "status", "status_class"],
            registry=self.registry,
        )
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Time from a request's arrival to its answer",
            ["method", "path"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight",
            "Requests being answered now: grows when something below is slow",
            registry=self.registry,
        )
        self.upstream_requests = Counter(
            "upstream_requests",
            "Calls to other components, by status or kind of failure",
            ["upstream", "status"],
            registry=self.registry,
        )
        self.upstream_duration = Histogram(
            "upstream_request_duration_seconds",
            "Time calls to other components took, failed ones included",
            ["upstream"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

    def answered(self, method: str, path: str, status: int, took_s: float) -> None:
        self.requests.labels(method, path, str(status), f"{status // 100}xx").inc()
        self.duration.labels(method, path).observe(took_s)

    def called(self, upstream: str, status: str, took_s: float) -> None:
        self.upstream_requests.labels(upstream, status).inc()
        self.upstream_duration.labels(upstream).observe(took_s)

    def gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self.registry)

    def counter(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def render(self) -> bytes:
        """Prometheus text format 0.0.4."""
        return generate_latest(self.registry)
