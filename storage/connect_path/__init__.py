"""What a connecting device needs: a few prepared statements, no ORM."""
