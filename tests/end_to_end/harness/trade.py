"""Who supplies the shop: three more tables, a writer to them, and views over all of the shop in the manner of TPC-H.

Each view stands beside the query by which PostgreSQL answers the same, or None where it can run the view's own.
"""

import random
import threading

from .shop import SHOP_DOMAINS, own

TRADE_DOMAINS = {
    **SHOP_DOMAINS,
    "countries": {"table": "public.countries", "event": "country"},
    "suppliers": {"table": "public.suppliers", "event": "supplier"},
    "supplies": {"table": "public.supplies", "event": "supply"},
}

TRADE_SQL = """
CREATE TABLE countries (
  code text PRIMARY KEY,
  name text NOT NULL,
  region text NOT NULL);
CREATE TABLE suppliers (
  id integer PRIMARY KEY,
  name text NOT NULL,
  country text,
  balance numeric(12,2) NOT NULL DEFAULT 0);
CREATE TABLE supplies (
  sku text,
  supplier_id integer,
  cost_cents integer NOT NULL,
  available integer NOT NULL,
  PRIMARY KEY (sku, supplier_id));
INSERT INTO countries VALUES ('de', 'Germany', 'Europe'), ('fr', 'France', 'Europe'), ('us', 'United States', 'America'),
  ('br', 'Brazil', 'America'), ('jp', 'Japan', 'Asia');
"""

# name → (SQL, PostgreSQL's; None: the same). Behind each, the TPC-H query that it is like.
TRADE_VIEWS = {
    "lines": ("SELECT i.order_id, i.line, i.sku, i.quantity, i.quantity * i.price_cents AS cents, o.status, o.user_id,\n"
              "       lower(u.country) AS country\nFROM order_items i JOIN orders o ON o.id = i.order_id\n"
              "LEFT JOIN users u ON u.id = o.user_id", None),
    # 1: pricing summary
    "pricing": ("SELECT status, count(*) AS lines, sum(quantity) AS quantity, sum(cents) AS cents, max(cents) AS most,\n"
                "       count(DISTINCT user_id) AS users\nFROM lines GROUP BY status", None),
    # 2: minimum cost supplier
    "cheapest": ("SELECT sku, supplier_id, cost_cents FROM supplies\n"
                 "QUALIFY row_number() OVER (PARTITION BY sku ORDER BY cost_cents, supplier_id) = 1",
                 "SELECT DISTINCT ON (sku) sku, supplier_id, cost_cents FROM supplies ORDER BY sku, cost_cents, supplier_id"),
    # 5: local supplier volume, a join of six domains
    "local_volume": ("SELECT c.name AS country, c.region, sum(i.quantity * i.price_cents) AS cents,\n"
                     "       count(DISTINCT o.id) AS orders, count(DISTINCT s.id) AS suppliers\n"
                     "FROM order_items i JOIN orders o ON o.id = i.order_id JOIN users u ON u.id = o.user_id\n"
                     "JOIN supplies p ON p.sku = i.sku JOIN suppliers s ON s.id = p.supplier_id\n"
                     "JOIN countries c ON c.code = s.country\nWHERE lower(u.country) = s.country\nGROUP BY c.name, c.region",
                     None),
    # 8: market share
    "market": ("SELECT c.region, CAST(o.placed_at AS DATE) AS day, sum(o.total_cents) AS cents,\n"
               "       sum(o.total_cents) FILTER (WHERE o.status = 'paid') AS paid_cents\n"
               "FROM orders o JOIN users u ON u.id = o.user_id JOIN countries c ON c.code = lower(u.country)\n"
               "GROUP BY c.region, CAST(o.placed_at AS DATE)", None),
    # 9: profit by supplier's country, over a view that keeps the cheapest supplier
    "profit": ("SELECT s.country, count(*) AS lines, sum(l.cents - l.quantity * h.cost_cents) AS cents\n"
               "FROM lines l JOIN cheapest h ON h.sku = l.sku JOIN suppliers s ON s.id = h.supplier_id\nGROUP BY s.country",
               None),
    # 10: returned items
    "returned": ("SELECT u.id, sum(o.total_cents) AS lost_cents, count(*) AS orders FROM users u\n"
                 "JOIN orders o ON o.user_id = u.id AND o.status = 'returned' GROUP BY u.id", None),
    # 11: important stock
    "stock": ("SELECT p.sku, sum(p.cost_cents * p.available) AS cents FROM supplies p\n"
              "JOIN suppliers s ON s.id = p.supplier_id WHERE s.balance >= 0\n"
              "GROUP BY p.sku HAVING sum(p.cost_cents * p.available) > 1000000", None),
    # 13: customer distribution, a count of counts
    "orders_by_user": ("SELECT u.id AS user_id, count(o.id) AS orders FROM users u\n"
                       "LEFT JOIN orders o ON o.user_id = u.id AND o.status <> 'test' GROUP BY u.id", None),
    "distribution": ("SELECT orders, count(*) AS users FROM orders_by_user GROUP BY orders", None),
    # 16: parts and suppliers
    "supplied": ("SELECT s.country, count(DISTINCT p.sku) AS articles, count(DISTINCT s.id) AS suppliers\n"
                 "FROM suppliers s LEFT JOIN supplies p ON p.supplier_id = s.id GROUP BY s.country", None),
    # 18: large orders
    "large_orders": ("SELECT o.id, o.total_cents, u.country, sum(i.quantity) AS quantity FROM order_items i\n"
                     "JOIN orders o ON o.id = i.order_id LEFT JOIN users u ON u.id = o.user_id\n"
                     "GROUP BY o.id, o.total_cents, u.country HAVING sum(i.quantity) > 15", None),
    # 22: customers who do not buy
    "idle_users": ("SELECT u.id, u.balance FROM users u LEFT JOIN orders o ON o.user_id = u.id\n"
                   "WHERE o.id IS NULL AND u.balance > 0", None),
}


def add_trade(database):
    """The tables, in a shop's database."""
    own(database, TRADE_SQL)
    return database


class Traders:
    """Keeps changing who supplies what: mostly updates, of rows that many others are joined with."""

    def __init__(self, database, seed):
        self.random = random.Random(seed)
        self.connection = database.connect(autocommit=True, application=f"traders seed {seed}")
        self.rows = 0
        self._stopping = threading.Event()
        self._thread = None

    def _execute(self, sql, parameters=()):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            self.rows += max(cursor.rowcount, 0)

    def seed_rows(self, suppliers=12):
        self._execute("INSERT INTO suppliers SELECT g, 'Supplier ' || g, (ARRAY['de','fr','us','br','jp',NULL])[1 + g %% 6], "
                      "100 * g - 300 FROM generate_series(1, %s) g", (suppliers,))
        self._execute("INSERT INTO supplies SELECT p.sku, s.id, 100 + (s.id * 37) %% 900, 1 + s.id * 7 FROM products p, "
                      "suppliers s WHERE (hashtext(p.sku) + s.id) %% 4 = 0")
        return self

    def step(self):
        supplier = self.random.randint(1, 12)
        kind = self.random.randrange(20)
        if kind == 0:
            self._execute("UPDATE countries SET region = %s WHERE code = %s",
                          (self.random.choice(["Europe", "America", "Asia", "Elsewhere"]),
                           self.random.choice(["de", "fr", "us", "br", "jp"])))
        elif kind == 1:
            self._execute("DELETE FROM countries WHERE code = 'jp'")
            self._execute("INSERT INTO countries VALUES ('jp', 'Japan', 'Asia')")
        elif kind < 5:
            self._execute("UPDATE suppliers SET country = %s, balance = balance - 50 + %s WHERE id = %s",
                          (self.random.choice(["de", "fr", "us", "br", "jp", None]), self.random.randint(0, 100), supplier))
        elif kind < 7:
            self._execute("DELETE FROM supplies WHERE supplier_id = %s AND hashtext(sku) %% 5 = %s",
                          (supplier, self.random.randint(-4, 4)))
        elif kind < 10:
            self._execute("INSERT INTO supplies SELECT sku, %s, %s, %s FROM products WHERE hashtext(sku) %% 7 = %s "
                          "ON CONFLICT (sku, supplier_id) DO UPDATE SET available = EXCLUDED.available",
                          (supplier, self.random.randint(1, 10**4), self.random.randint(0, 1000), self.random.randint(-6, 6)))
        else:
            self._execute("UPDATE supplies SET cost_cents = %s WHERE supplier_id = %s AND hashtext(sku) %% 3 = %s",
                          (self.random.randint(1, 10**4), supplier, self.random.randint(-2, 2)))

    def start(self, rate):
        def write():
            while not self._stopping.wait(1 / rate):
                self.step()
        self._thread = threading.Thread(target=write, daemon=True)
        self._thread.start()
        return self

    def stop(self):
        self._stopping.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        self._stopping.clear()

    def close(self):
        self.stop()
        self.connection.close()
