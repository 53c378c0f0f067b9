"""How nbval compares notebooks: outputs that differ between machines by nature are not compared, their presence is."""


def pytest_collectstart(collector):
    """Leave error streams, HTML twins of text, and widgets out of the comparison."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "text/html", "application/vnd.jupyter.widget-view+json")


def pytest_runtest_logreport(report):
    """A notebook cell that nbval gave up on (after a timeout it marks the rest xfail) is a failure."""
    if report.when == "call" and ".ipynb" in report.nodeid and getattr(report, "wasxfail", None) is not None:
        report.outcome = "failed"
        del report.wasxfail
        report.longrepr = "not run: an earlier cell of this notebook failed to finish"
