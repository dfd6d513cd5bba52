"""A seeded shop that keeps writing: every kind of change a client's application makes, in a reproducible order."""

import contextlib
import io
import json
import random
import threading
import time
import uuid

from .shop import WIDE_COLUMNS

COUNTRIES = ["de", "DE", "fr", "US", "jp", "Br", None]
STATUSES = ["new", "paid", "shipped", "returned", "test"]
TOAST_BYTES = 6000            # beyond the 2 kB from which PostgreSQL stores a value outside its row
STRANGE_TEXTS = ["", " ", "O'Hara", "tab\there", "back\\slash", 'quote"', "line\nend", "Zoë 🎈", "\\N", "NULL", "\u2028"]


class Workload:
    """Writes to one database over a connection of its own. step() and run() in one thread; start() uses its own.

    The same seed gives the same statements. `transactions` and `rows` count what was committed, so far. Ids begin at
    `first_id`, so that several workloads can write to one database.
    """

    def __init__(self, database, seed, first_id=1):
        self.database = database
        self.seed = seed
        self.random = random.Random(seed)
        self.connection = database.connect(autocommit=False, application=f"workload seed {seed}")
        self.next_id = first_id
        self.first_id = first_id
        self.users = []
        self.products = []
        self.orders = {}          # id → number of items
        self.transactions = 0
        self.rows = 0
        self._thread = None
        self._stopping = threading.Event()
        self._error = None
        self._actions = {
            self._place_order: 30, self._change_order: 18, self._touch_user: 12, self._change_biography: 4,
            self._delete_order: 7, self._rename_product: 4, self._renumber_user: 2, self._same_key_often: 4,
            self._nested: 7, self._rolled_back: 3, self._copy_users: 3, self._measure: 7, self._raise_prices: 3,
            self._visit: 6, self._forget_visits: 1, self._delete_and_insert: 3}

    # Driving it.

    def seed_rows(self, users=50, products=40, orders=100):
        """Rows to begin with, so that changes find something to change."""
        with self._commit() as cursor:
            self._insert_users(cursor, users)
            for _ in range(products):
                self._insert_product(cursor)
            for _ in range(orders):
                self._insert_order(cursor)
            for number in range(20):
                self._write_wide(cursor, self.first_id + number)
        return self

    def step(self):
        """One transaction of a random kind."""
        action = self.random.choices(list(self._actions), weights=list(self._actions.values()))[0]
        action()

    def run(self, steps=None, seconds=None, rate=None):
        """So many steps, or for so long; at most `rate` transactions a second."""
        begin = time.monotonic()
        done = 0
        while not self._stopping.is_set():
            if steps is not None and done >= steps or seconds is not None and time.monotonic() - begin >= seconds:
                break
            self.step()
            done += 1
            if rate:
                self._stopping.wait(max(0.0, begin + done / rate - time.monotonic()))
        return self

    def start(self, rate=None):
        """Writes in a thread of its own until stop()."""
        self._thread = threading.Thread(target=self._run_guarded, args=(rate,), daemon=True)
        self._thread.start()
        return self

    def _run_guarded(self, rate):
        try:
            self.run(rate=rate)
        except Exception as error:  # pylint: disable=broad-except
            self._error = error     # told by stop(): a thread has nobody to tell it to

    def stop(self):
        self._stopping.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        self._stopping.clear()
        if self._error:
            raise RuntimeError(f"the workload of {self.database.name}, seed {self.seed}, failed") from self._error

    def close(self):
        self.stop()
        self.connection.close()

    @contextlib.contextmanager
    def _commit(self):
        with self.connection, self.connection.cursor() as cursor:
            yield cursor
        self.transactions += 1

    def _execute(self, cursor, sql, parameters=()):
        cursor.execute(sql, parameters)
        self.rows += max(cursor.rowcount, 0)

    # Values.

    def _new_id(self):
        self.next_id += 1
        return self.next_id - 1

    def _text(self):
        if self.random.random() < 0.2:
            return self.random.choice(STRANGE_TEXTS)
        return "".join(self.random.choices("abcdefghij ", k=self.random.randint(1, 40)))

    def _long_text(self):
        return f"{self.random.random():.17f} " * (TOAST_BYTES // 20)

    def _user(self):
        user = self._new_id()
        preferences = json.dumps({"theme": self.random.choice(["dark", "light", None]),
                                  "numbers": [self.random.randint(0, 2**63 - 1), self.random.random()]})
        return (user, f" User{user}@Example.COM", self._text(), self.random.choice(COUNTRIES),
                f"{self.random.randint(-10**9, 10**9) / 100:.2f}", self.random.choice([None, preferences]),
                self._long_text() if self.random.random() < 0.1 else self._text())

    # Rows.

    def _insert_users(self, cursor, count):
        for row in [self._user() for _ in range(count)]:
            self._execute(cursor, "INSERT INTO users (id, email, name, country, balance, preferences, biography) "
                                  "VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
            self.users.append(row[0])

    def _insert_product(self, cursor):
        sku = f"SKU-{self._new_id():06}"
        self._execute(cursor, "INSERT INTO products (sku, title, price_cents, weight, tags) VALUES (%s, %s, %s, %s, %s)",
                      (sku, self._text(), self.random.randint(1, 10**6), f"{self.random.random():.9f}",
                       self.random.choice([None, [], [self._text(), None, "x,y"]])))
        self.products.append(sku)

    def _insert_order(self, cursor):
        order = self._new_id()
        items = self.random.randint(1, 5)
        self._execute(cursor, "INSERT INTO orders (id, user_id, status, total_cents, note) VALUES (%s, %s, %s, %s, %s)",
                      (order, self.random.choice(self.users), self.random.choice(STATUSES),
                       self.random.randint(0, 10**7), self._long_text() if self.random.random() < 0.1 else None))
        values = [(order, line, self.random.choice(self.products), self.random.randint(1, 9),
                   self.random.randint(1, 10**5)) for line in range(items)]
        self._execute(cursor, "INSERT INTO order_items VALUES " + ", ".join(["%s"] * items), values)
        self.orders[order] = items
        return order

    def _write_wide(self, cursor, number):
        makers = (lambda: self.random.randint(-2**63, 2**63 - 1), lambda: self.random.gauss(0, 1e9), self._text,
                  lambda: f"2024-{self.random.randint(1, 12):02}-01 10:00:00.{self.random.randint(0, 999999):06}+02")
        values = [makers[i % 4]() if self.random.random() < 0.8 else None for i in range(WIDE_COLUMNS)]
        assignments = ", ".join(f"c{i:02} = EXCLUDED.c{i:02}" for i in range(WIDE_COLUMNS))
        self._execute(cursor, f"INSERT INTO wide VALUES ({', '.join(['%s'] * (WIDE_COLUMNS + 1))}) "
                              f"ON CONFLICT (id) DO UPDATE SET {assignments}", [number, *values])

    # Transactions, one a method.

    def _place_order(self):
        with self._commit() as cursor:
            order = self._insert_order(cursor)
            self._execute(cursor, "UPDATE orders SET status = 'paid' WHERE id = %s", (order,))

    def _change_order(self):
        if not self.orders:
            return
        with self._commit() as cursor:  # the note stays: unchanged, it is not sent
            self._execute(cursor, "UPDATE orders SET status = %s, total_cents = total_cents + 1 WHERE id = %s",
                          (self.random.choice(STATUSES), self.random.choice(list(self.orders))))

    def _touch_user(self):
        with self._commit() as cursor:
            self._execute(cursor, "UPDATE users SET balance = balance + 0.01, country = %s WHERE id = %s",
                          (self.random.choice(COUNTRIES), self.random.choice(self.users)))

    def _change_biography(self):
        with self._commit() as cursor:
            self._execute(cursor, "UPDATE users SET biography = %s WHERE id = %s",
                          (self.random.choice([self._long_text(), None, self._text()]), self.random.choice(self.users)))

    def _delete_order(self):
        if len(self.orders) < 20:
            return
        order = self.random.choice(list(self.orders))
        with self._commit() as cursor:
            self._execute(cursor, "DELETE FROM order_items WHERE order_id = %s", (order,))
            self._execute(cursor, "DELETE FROM orders WHERE id = %s", (order,))
        del self.orders[order]

    def _rename_product(self):
        at = self.random.randrange(len(self.products))
        new = f"SKU-{self._new_id():06}-renamed"
        with self._commit() as cursor:
            self._execute(cursor, "UPDATE products SET sku = %s WHERE sku = %s", (new, self.products[at]))
        self.products[at] = new

    def _renumber_user(self):
        at = self.random.randrange(len(self.users))
        new = self._new_id()
        with self._commit() as cursor:  # the biography goes with it, unsent
            self._execute(cursor, "UPDATE users SET id = %s WHERE id = %s", (new, self.users[at]))
            self._execute(cursor, "UPDATE orders SET user_id = %s WHERE user_id = %s", (new, self.users[at]))
        self.users[at] = new

    def _same_key_often(self):
        with self._commit() as cursor:
            order = self._insert_order(cursor)
            for status in STATUSES:
                self._execute(cursor, "UPDATE orders SET status = %s WHERE id = %s", (status, order))
            self._execute(cursor, "DELETE FROM orders WHERE id = %s", (order,))
            self._execute(cursor, "INSERT INTO orders VALUES (%s, 1, 'again', 1, NULL, now())", (order,))

    def _nested(self):
        with self._commit() as cursor:
            kept = self._insert_order(cursor)
            cursor.execute("SAVEPOINT first")
            lost = self._insert_order(cursor)
            self._execute(cursor, "UPDATE orders SET status = 'lost' WHERE id = %s", (kept,))
            cursor.execute("SAVEPOINT second")
            self._execute(cursor, "UPDATE users SET balance = 0 WHERE id = %s", (self.random.choice(self.users),))
            if self.random.random() < 0.7:
                cursor.execute("ROLLBACK TO SAVEPOINT first")
                del self.orders[lost]
            self._execute(cursor, "UPDATE orders SET total_cents = 7 WHERE id = %s", (kept,))

    def _rolled_back(self):
        users, orders = list(self.users), dict(self.orders)
        with self.connection.cursor() as cursor:
            self._insert_users(cursor, 3)
            self._insert_order(cursor)
        self.connection.rollback()
        self.users, self.orders = users, orders

    def _copy_users(self):
        rows = [(self._new_id(), self._text().replace("\\", "/").replace("\t", " ").replace("\n", " "))
                for _ in range(self.random.randint(5, 60))]
        text = "".join(f"{user}\tcopy{user}@example.com\t{name}\n" for user, name in rows)
        with self._commit() as cursor:
            cursor.copy_expert("COPY users (id, email, name) FROM STDIN", io.StringIO(text))
        self.users += [user for user, _ in rows]
        self.rows += len(rows)

    def _measure(self):
        with self._commit() as cursor:
            self._write_wide(cursor, self.first_id + self.random.randint(0, 40))

    def _raise_prices(self):
        with self._commit() as cursor:
            self._execute(cursor, "UPDATE products SET price_cents = price_cents + 1 WHERE sku LIKE %s",
                          (f"%{self.random.randint(0, 9)}",))

    def _visit(self):
        with self._commit() as cursor:
            self._execute(cursor, "INSERT INTO visits VALUES (%s, %s, %s, date '2024-01-01' + %s)",
                          (str(uuid.UUID(int=self.random.getrandbits(128))), self._text(), self.random.random(),
                           self.random.randint(-100000, 10000)))

    def _forget_visits(self):
        with self._commit() as cursor:
            cursor.execute("TRUNCATE visits")

    def _delete_and_insert(self):
        order = self._new_id()
        with self._commit() as cursor:
            self._execute(cursor, "INSERT INTO orders VALUES (%s, 1, 'first', 1, %s, now())", (order, self._long_text()))
        with self._commit() as cursor:
            self._execute(cursor, "DELETE FROM orders WHERE id = %s", (order,))
            self._execute(cursor, "INSERT INTO orders VALUES (%s, 2, 'second', 2, NULL, now())", (order,))
        self.orders[order] = 0
